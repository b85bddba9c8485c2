"""Source files: what is written is read back, and damage is named."""

import json
import subprocess

import pytest

from dpo_neurons.errors import InputError
from dpo_neurons.provenance import read_source, sha256_of, write_source

FACTS = {
    "kind": "hub",
    "repository": "some/one",
    "revision": "0" * 40,
    "files": {"ä b.txt": "1" * 64},
    "rows": 3,
    "rows_left_out": {"blank text": 1},
}


def test_facts_are_read_back(tmp_path):
    write_source(tmp_path / "made" / "x.source.json", FACTS)
    assert read_source(tmp_path / "made" / "x.source.json") == FACTS


def test_the_order_of_facts_does_not_matter(tmp_path):
    write_source(tmp_path / "one.json", FACTS)
    write_source(tmp_path / "two.json", dict(reversed(FACTS.items())))
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


@pytest.mark.parametrize("content", [b"", b"abc", b"\0" * 5_000_000], ids=len)
def test_checksums_are_those_of_the_systems_own_program(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    printed = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout
    assert sha256_of(path) == printed.split()[0]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", json.dumps(FACTS)[:-9].encode(), b"[]", b"null", b"{}", b'{"kind": 1}', b"\xff"],
    ids=repr,
)
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "x.source.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged") as caught:
        read_source(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"x\.source\.json: no such file"):
        read_source(tmp_path / "x.source.json")
