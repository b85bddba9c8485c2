"""Reading users' files: every ending gives the same rows, and what is wrong is named."""

import csv
import json
import os

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpo_neurons.errors import InputError
from dpo_neurons.study.data_files import matching_paths, read_rows

ODD = [
    "plain",
    'quotes "inside", and commas',
    "two\nlines and\r\nanother\rone",
    "  spaces  ",
    "NA",
    "nan",
    "null",
    "007",
    "1e5",
    "日本 🙂",
    "x" * 200_000,
]
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def values(path, *columns):
    return [row for _, row in read_rows(path, columns)]


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "jsonl"])
def test_odd_texts_survive_every_kind_of_file(tmp_path, ending):
    path = tmp_path / f"rows.{ending}"
    table = pd.DataFrame({"id": [f"{n:04}" for n in range(len(ODD))], "comment": ODD})
    if ending in ("csv", "tsv"):
        table.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    elif ending == "parquet":
        table.to_parquet(path)
    else:
        table.to_json(path, orient="records", lines=True)
    assert values(path, "id", "comment") == table.to_dict("records")


@given(st.lists(st.tuples(texts, texts), min_size=1))
def test_what_pandas_writes_as_csv_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    pd.DataFrame(rows, columns=["a", "b"]).to_csv(path, index=False, quoting=csv.QUOTE_ALL)
    assert [(row["a"], row["b"]) for row in values(path, "a")] == rows


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\xef\xbb\xbftext,toxic\r\nhello,1\r\n\r\n")
    assert values(path, "text") == [{"text": "hello", "toxic": "1"}]


def test_places_are_lines_where_rows_begin(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('a,b\n1,"x\ny\nz"\n\n2,y\n')
    assert [place for place, _ in read_rows(path, "a")] == [f"{path}, line 2", f"{path}, line 6"]
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n\n{"a": 2}\n')
    assert [place for place, _ in read_rows(path, "a")] == [f"{path}, line 1", f"{path}, line 3"]
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"a": range(10_000)}).to_parquet(path)
    places = [place for place, _ in read_rows(path, "a")]
    assert places == [f"{path}, row {number}" for number in range(1, 10_001)]


def test_parquet_gives_the_columns_asked_for_or_all_if_one_lacks(tmp_path):
    path = tmp_path / "rows.parquet"
    table = {"prompt": [{"text": "a", "toxicity": 0.5}], "a.b": ["dotted"], "vector": [[1.0] * 9]}
    pa.parquet.write_table(pa.table(table), path)
    assert values(path, "prompt.text") == [{"prompt": {"text": "a", "toxicity": 0.5}}]
    assert values(path, "a.b") == [{"a.b": "dotted"}]
    assert [set(row) for row in values(path, "prompt.text", "text")] == [set(table)]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "the file is empty"),
        ("a.jsonl", b"", 'is empty; it needs at least one line such as {"text": "…"}'),
        ("a.jsonl", b"\n \n", "the file is empty"),
        ("a.jsonl", b'{"text": "a"}\n{"text"', "line 2: not valid JSON"),
        ("a.jsonl", b'{"text": "\xff"}', "line 1: not UTF-8"),
        ("a.csv", b"text,toxic\na,1\nb,1,2\n", "line 3: 3 values under 2 column names"),
        ("a.csv", b"text,toxic\nb\n", "line 2: 1 values under 2 column names"),
        ("a.csv", b'text\n"a\nb\nc', "line 4: not valid CSV (unexpected end of data)"),
        ("a.csv", b'text\n"a" b\n', "line 2: not valid CSV"),
        ("a.csv", b"text\nok\n\xff\xfe\n", "not UTF-8"),
        ("a.parquet", b"", "cannot be read as Parquet"),
        ("a.parquet", b"PAR1 and no more", "cannot be read as Parquet"),
        ("a.json", b"[]", "its ending is not one of .jsonl, .csv, .tsv, .parquet, .t"),
        ("a.csv.gz", b"", "its ending is not one of"),
        ("a", b"", "its ending is not one of"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        values(path, "text")
    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_truncated_parquet_file_is_named(tmp_path, share):
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"text": [os.urandom(20).hex() for _ in range(2000)]}).to_parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"rows\.parquet: cannot be read as Parquet"):
        values(path, "text")


def test_corrupted_pages_of_parquet_are_named(tmp_path):
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"text": [os.urandom(20).hex() for _ in range(2000)]}).to_parquet(path)
    whole = bytearray(path.read_bytes())
    whole[4 : len(whole) // 2] = b"\xff" * (len(whole) // 2 - 4)
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"rows\.parquet: cannot be read as Parquet"):
        values(path, "text")


@pytest.mark.parametrize("name", ["missing.csv", "folder.csv"])
def test_a_missing_file_is_named(tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=f"{name}: no such file"):
        read_rows(tmp_path / name, "text")


def test_patterns_stand_for_their_matches_in_order(tmp_path, monkeypatch):
    for name in ("b/2.jsonl", "b/10.jsonl", "b/x.csv", "[a]*.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps({"a": 1}))
    (tmp_path / "link").symlink_to("b")
    monkeypatch.chdir(tmp_path)

    def matching(*patterns):
        return [str(path) for path in matching_paths(patterns)]

    assert matching("b/*.jsonl") == ["b/10.jsonl", "b/2.jsonl"]
    assert matching("link/*.csv", "b/2.jsonl") == ["link/x.csv", "b/2.jsonl"]
    assert matching("[a]*.jsonl") == ["[a]*.jsonl"], "an odd name is taken as it is"
    assert matching(f"{tmp_path}/**/*.csv") == [f"{tmp_path}/b/x.csv"]
    for missing in ("c/*.jsonl", "b/3.jsonl"):
        with pytest.raises(InputError, match="no such file"):
            matching("b/2.jsonl", missing)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"text,toxic,text\nfirst,1,second\n"),
        ("a.csv", b"\xef\xbb\xbftext,text\nfirst,second\n"),
        ("a.csv", b'"text",toxic,text\n'),
        ("a.jsonl", b'{"text": "first", "toxic": 1, "text": "second"}\n'),
    ],
)
def test_one_column_twice_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"'text' stands (there 2 times|twice)") as caught:
        values(tmp_path / name, "text")
    assert str(caught.value).startswith(str(tmp_path / name))


def test_one_column_twice_is_refused_in_parquet_at_any_depth(tmp_path):
    path = tmp_path / "a.parquet"
    twice = pa.Table.from_arrays([pa.array(["first"]), pa.array(["second"])], ["text", "text"])
    pa.parquet.write_table(twice, path)
    with pytest.raises(InputError, match=r"a\.parquet: the column 'text' stands there 2 times"):
        values(path, "text")
    inner = pa.StructArray.from_arrays(
        twice.columns[0].chunks + twice.columns[1].chunks, ["t", "t"]
    )
    pa.parquet.write_table(pa.table({"prompt": inner}), path)
    with pytest.raises(InputError, match=r"the column 'prompt\.t' stands there 2 times"):
        values(path, "prompt.t")


def test_columns_without_a_name_may_be_many(tmp_path):
    (tmp_path / "a.csv").write_text("text,,\nfirst,,\n")
    assert values(tmp_path / "a.csv", "text") == [{"text": "first", "": ""}]


@pytest.mark.parametrize("pattern", ["x" * 5000, "a**b", "\0", "a/../**b/*.csv"])
def test_what_is_no_path_is_named(pattern):
    with pytest.raises(InputError) as caught:
        matching_paths([pattern])
    assert len(str(caught.value)) < 1000 or pattern in str(caught.value)


@pytest.mark.parametrize("ending", ["txt", "tokens"])
def test_a_line_of_plain_text_is_a_row(tmp_path, ending):
    path = tmp_path / f"wiki.{ending}"
    path.write_bytes("\ufeff = Title = \r\n\nlast \u2028 line".encode())
    assert list(read_rows(path, "text")) == [
        (f"{path}, line 1", {"text": " = Title = "}),
        (f"{path}, line 2", {"text": ""}),
        (f"{path}, line 3", {"text": "last \u2028 line"}),
    ]
    path.write_bytes(b"good\nb\xffd\n")
    with pytest.raises(InputError, match="not UTF-8 after line"):
        list(read_rows(path, "text"))


def test_a_tsv_with_too_many_values_is_told(tmp_path):
    path = tmp_path / "rows.tsv"
    path.write_text("a\tb\n1\t2\t3\n")
    with pytest.raises(InputError) as caught:
        list(read_rows(path, "a"))
    assert "line 2: 3 values under 2 column names; put texts that hold tabs or" in str(caught.value)
    path.write_text('a\tb\n"1\t2\n')
    with pytest.raises(InputError, match="not valid TSV"):
        list(read_rows(path, "a"))
