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


WORDS = ["null", "NA", "nan", "1.1", "1.10", "007", "1e5", "TRUE", "", " x ", "None", 'a "b", c']


def test_a_text_of_a_table_stays_the_text_that_it_is(tmp_path: Path) -> None:
    table = pd.DataFrame({"model": WORDS, "layer": WORDS[::-1], "share": np.arange(12.0)})
    table.loc[3, "share"] = np.nan
    write_csv(tmp_path / "t.csv", table)
    read = read_csv(tmp_path / "t.csv", texts=["layer"])
    assert read["model"].tolist() == WORDS
    assert read["layer"].tolist() == WORDS[::-1]
    np.testing.assert_array_equal(read["share"], table["share"])


def test_two_models_whose_names_are_one_number_stay_two(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", pd.DataFrame({"model": ["1.1", "1.10"], "share": [1, 2]}))
    assert read_csv(tmp_path / "t.csv").groupby("model")["share"].sum().to_dict() == {
        "1.1": 1,
        "1.10": 2,
    }


def test_a_table_with_one_column_twice_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("share,model,share\n1,a,2\n")
    with pytest.raises(InputError, match=r"t\.csv: the column 'share' stands there 2 times"):
        read_csv(tmp_path / "t.csv")
