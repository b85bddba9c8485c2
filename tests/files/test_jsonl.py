"""JSON lines: what is read back, and what mistakes are named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpo_neurons.errors import InputError
from dpo_neurons.files.jsonl import read_jsonl, write_jsonl

texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(st.fixed_dictionaries({"prompt": texts, "n": st.integers()}), min_size=1))
def test_rows_survive_writing_and_reading(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("jsonl") / "rows.jsonl"
    write_jsonl(path, rows)
    assert read_jsonl(path, ["prompt"]) == rows
    assert len(path.read_bytes().split(b"\n")) == len(rows) + 1


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_whole_lines_that_are_lost_are_noticed(tmp_path, lost):
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [{"a": str(number)} for number in range(3)])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) - lost]))
    if not lost:
        assert len(read_jsonl(path, ["a"])) == 3
        return
    with pytest.raises(InputError, match=r"rows\.jsonl: not as it was written: .*cut off"):
        read_jsonl(path, ["a"])
    write_jsonl(path, [{"a": "new"}])
    assert read_jsonl(path, ["a"]) == [{"a": "new"}]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n  \n"])
def test_blank_lines_and_line_ends_do_not_matter(tmp_path, end):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(end.join(['{"a": "1"}', '{"a": "2"}', ""]).encode())
    assert [row["a"] for row in read_jsonl(path, iter(["a"]))] == ["1", "2"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"prompt": ', "line 3: not valid JSON"),
        (b"prompt", "line 3: not valid JSON"),
        (b'["prompt"]', "line 3: a JSON list, not an object"),
        (b'"prompt"', "line 3: a JSON str, not an object"),
        (b"null", "line 3: a JSON NoneType, not an object"),
        (b'{"prompts": "a"}', 'line 3: needs the key "prompt" with a text value'),
        (b'{"prompt": 3}', 'line 3: needs the key "prompt" with a text value'),
        (b'{"prompt": null}', 'line 3: needs the key "prompt" with a text value'),
        (b'{"prompt": "caf\xe9"}', "UTF-8"),
    ],
)
def test_a_bad_line_is_named_with_its_file_and_number(tmp_path, line, words):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"prompt": "a"}\n\n' + line + b'\n{"prompt": "b"}\n')
    with pytest.raises(InputError, match=words) as caught:
        read_jsonl(path, ["prompt"])
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_rows_is_named_with_an_example(tmp_path, content):
    path = tmp_path / "rows.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match="the file is empty") as caught:
        read_jsonl(path, ["prompt", "gold"])
    assert str(path) in str(caught.value)
    assert '{"prompt": "…", "gold": "…"}' in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(InputError, match="no such file") as caught:
            read_jsonl(path, ["prompt"])
        assert str(path) in str(caught.value)


def test_rows_that_fail_to_come_leave_the_old_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [{"a": "old"}])

    def rows():
        yield {"a": "new"}
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_jsonl(path, rows())
    assert read_jsonl(path, ["a"]) == [{"a": "old"}]
    assert sorted(tmp_path.iterdir()) == [tmp_path / ".rows.jsonl.sha256", path]


def test_a_byte_order_mark_is_skipped(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"prompt": "a"}\n{"prompt": "\xef\xbb\xbfb"}\n')
    assert read_jsonl(path, ["prompt"]) == [{"prompt": "a"}, {"prompt": "\ufeffb"}]
    path.write_bytes(b"\xef\xbb\xbf\n")
    with pytest.raises(InputError, match="the file is empty"):
        read_jsonl(path, ["prompt"])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"prompt": "a", "toxic": 1, "prompt": "b"}', "the key 'prompt' stands twice"),
        ('{"prompt": ' + "[" * 100_000, "nested too deeply"),
        ('{"prompt": "a", "toxic": ' + "9" * 5000 + "}", "too many digits"),
    ],
    ids=["twice", "deep", "long"],
)
def test_a_line_that_json_allows_and_nobody_means_is_named(tmp_path, line, words):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a"}\n' + line + "\n")
    with pytest.raises(InputError, match=f"line 2: .*{words}"):
        read_jsonl(path, ["prompt"])
