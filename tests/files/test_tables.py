"""Tables are read as they were written, and the error for a missing column names it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.errors import InputError
from dpo_neurons.files.tables import read_csv, read_table, write_csv, write_table

TABLE = pd.DataFrame(
    {
        "layer": [0, 0, 7],
        "name": ["é", "a,b", 'c "d"'],
        "value": [np.nextafter(0.1, 1), -1e-300, np.pi * 1e12],
    }
)


def test_parquet_keeps_every_bit(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", TABLE)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet", (), ""), TABLE, rtol=0)


def test_csv_keeps_every_bit_and_gives_the_columns_asked_for(tmp_path: Path) -> None:
    write_csv(tmp_path / "made" / "t.csv", TABLE)
    found = read_csv(tmp_path / "made" / "t.csv", ["value", "name"])
    pd.testing.assert_frame_equal(found, TABLE[["value", "name"]], rtol=0)


def test_a_column_that_lacks_is_named(tmp_path: Path) -> None:
    write_csv(tmp_path / "groups.csv", pd.DataFrame({"group": ["TP-"], "share": [1]}))
    with pytest.raises(InputError, match=r"groups\.csv.*'neurons'"):
        read_csv(tmp_path / "groups.csv", ["group", "neurons", "share"])
    write_table(tmp_path / "groups.parquet", pd.DataFrame({"group": ["TP-"]}))
    with pytest.raises(InputError, match=r"groups\.parquet: groups need the column 'neurons'"):
        read_table(tmp_path / "groups.parquet", ("group", "neurons"), "groups need")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.csv"):
        read_csv(tmp_path / "absent.csv", ["group"])
