"""JSON: what is read back, and what damage is named."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpo_neurons.errors import InputError
from dpo_neurons.files import json_text
from dpo_neurons.files.json_text import (
    parse_json,
    read_checked_json,
    read_json,
    write_checked_json,
)

REMEDY = "restore the file"
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_what_the_standard_library_reads_is_read_the_same(value):
    content = json.dumps(value).encode()
    assert parse_json(content, "a", REMEDY) == json.loads(content) == value
    assert parse_json(b"\xef\xbb\xbf" + content, "a", REMEDY) == value


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not valid JSON"),
        (b'{"a": 1', "not valid JSON"),
        (b'{\n"a": 1,\n}', "line 3, column 1: not valid JSON"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"1" * 5000 + b"}", "too many digits"),
        (b'{"a": "\xff"}', "not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' stands twice"),
        (b'{"b": {"a": 1, "a": 1}}', "the key 'a' stands twice"),
        (b"[1]", "holds a JSON list, no object"),
        (b"null", "holds a JSON NoneType, no object"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_damage_is_one_sentence_with_the_file_and_the_remedy(tmp_path, content, words):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_json(path, REMEDY)
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).endswith(REMEDY)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_a_folder_or_huge_is_named(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"no\.json: No such file"):
        read_json(tmp_path / "no.json", REMEDY)
    with pytest.raises(InputError, match="a folder stands where a file should be"):
        read_json(tmp_path, REMEDY)
    (tmp_path / "a.json").write_text('{"a": 1}')
    monkeypatch.setattr(json_text, "LARGEST_BYTES", 7)
    with pytest.raises(InputError, match="8 bytes are too many for such a file"):
        read_json(tmp_path / "a.json", REMEDY)


def test_a_result_is_read_back_without_its_checksum(tmp_path):
    facts = {"losses": [0.1, 1e-300, 12345.678901234567], "positions": "all"}
    write_checked_json(tmp_path / "a.json", facts)
    assert read_checked_json(tmp_path / "a.json", REMEDY) == facts
    assert json.loads((tmp_path / "a.json").read_text()).keys() == {*facts, "checksum"}


def test_any_flipped_digit_or_letter_is_named(tmp_path):
    path = tmp_path / "a.json"
    write_checked_json(path, {"losses": [1.25, 2.5, 1e-05], "tokens": [3, 40], "positions": "all"})
    whole = path.read_bytes()
    draw = random.Random(1)
    for place, byte in enumerate(whole.rstrip()):
        if chr(byte).isalnum():
            choices = b"0123456789" if chr(byte).isdigit() else b"abcdefghijklm"
            other = draw.choice([choice for choice in choices if choice != byte])
            path.write_bytes(whole[:place] + bytes([other]) + whole[place + 1 :])
            with pytest.raises(InputError, match=r"a\.json"):
                read_checked_json(path, REMEDY)


def test_a_result_without_checksum_is_named(tmp_path):
    (tmp_path / "a.json").write_text('{"losses": [1.25]}')
    with pytest.raises(InputError, match="earlier version, without checksum; restore"):
        read_checked_json(tmp_path / "a.json", REMEDY)
