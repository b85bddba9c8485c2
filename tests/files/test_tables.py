"""Tables are read as they were written, and the error for a missing column names it."""

import shutil
import subprocess
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


def test_lines_that_are_lost_and_letters_that_are_wrong_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write_csv(path, pd.DataFrame({"model": ["a", "b", "c"], "share": [0.25, 1.5, 3]}))
    whole = path.read_bytes()
    assert len(read_csv(path)) == 3
    lines = whole.splitlines(keepends=True)
    cut = [b"".join(lines[:count]) for count in range(len(lines))]
    wrong = [whole.replace(b"0.25", b"0.26"), whole.replace(b"\nb,", b"\nd,"), whole + b"d,1\n"]
    for content in [*cut, *wrong]:
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"t\.csv: .*delete it and run again"):
            read_csv(path)
    path.write_bytes(whole)
    assert len(read_csv(path)) == 3


def test_the_checksum_is_one_that_the_systems_own_program_reads(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", pd.DataFrame({"share": [1]}))
    checked = subprocess.run(["sha256sum", "-c", ".t.csv.sha256"], cwd=tmp_path, check=False)
    assert checked.returncode == 0


def test_a_table_without_its_checksum_is_read_with_a_sentence(tmp_path: Path, caplog) -> None:
    write_csv(tmp_path / "t.csv", pd.DataFrame({"share": [1]}))
    read_csv(tmp_path / "t.csv")
    assert caplog.messages == []
    copy = shutil.copy(tmp_path / "t.csv", tmp_path / "copy.csv")
    assert read_csv(Path(copy))["share"].tolist() == [1]
    (sentence,) = caplog.messages
    assert sentence.startswith(f"{copy}: read unchecked, for .copy.csv.sha256 is not beside it")


def test_a_table_from_elsewhere_needs_a_row(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("share\n")
    with pytest.raises(InputError, match=r"t\.csv: has no row, so it is cut off"):
        read_csv(tmp_path / "t.csv", has_checksum=False)
    assert read_csv(tmp_path / "t.csv", may_be_empty=True, has_checksum=False).empty
