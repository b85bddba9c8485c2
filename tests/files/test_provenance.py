"""Source files: what is written is read back, and damage is named."""

import json
import subprocess

import pytest

from dpo_neurons.errors import InputError
from dpo_neurons.files import provenance
from dpo_neurons.files.provenance import check_as_recorded, read_source, sha256_of, write_source

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


@pytest.fixture
def recorded(tmp_path):
    """A directory of three files with its source file, and a data file with its own."""
    model, rows = tmp_path / "pre.v1", tmp_path / "rows.jsonl"
    model.mkdir()
    for name in ("config.json", "one.safetensors", "two.safetensors"):
        (model / name).write_text(name * 9)
    rows.write_text('{"a": 1}\n{"a": 2}\n')
    files = {file.name: sha256_of(file) for file in model.iterdir()}
    write_source(tmp_path / "pre.v1.source.json", {"kind": "sft", "files": files})
    write_source(tmp_path / "rows.source.json", {"kind": "file", "sha256": sha256_of(rows)})
    return model, rows


@pytest.mark.parametrize("threads", [1, 4])
def test_what_is_as_recorded_passes_whatever_lies_beside_it(recorded, threads):
    model, rows = recorded
    (model / ".snakemake_timestamp").touch()
    (model / "notes.txt").write_text("mine")
    check_as_recorded(model, threads)
    check_as_recorded(rows)


def test_a_link_to_a_checkpoint_has_its_own_source(recorded, tmp_path):
    link = tmp_path / "elsewhere" / "post"
    link.parent.mkdir()
    link.symlink_to(recorded[0])
    check_as_recorded(link)
    write_source(link.with_name("post.source.json"), {"kind": "hub", "files": {"config.json": "0"}})
    with pytest.raises(InputError, match=r"elsewhere/post/config\.json: damaged or was changed"):
        check_as_recorded(link)


@pytest.mark.parametrize("name", ["config.json", "two.safetensors"])
def test_a_flipped_bit_of_a_checkpoint_is_named(recorded, name):
    file = recorded[0] / name
    damaged = bytearray(file.read_bytes())
    damaged[7] ^= 1
    file.write_bytes(damaged)
    with pytest.raises(InputError, match=r"damaged or was changed since .*pre\.v1\.source") as said:
        check_as_recorded(recorded[0], threads=2)
    assert str(said.value).startswith(str(file))


def test_a_file_is_read_once_a_program_unless_it_is_changed(recorded, monkeypatch):
    model, read = recorded[0], []
    monkeypatch.setattr(provenance, "sha256_of", lambda file: read.append(file) or sha256_of(file))
    check_as_recorded(model)
    check_as_recorded(model)
    assert sorted(read) == sorted(model.iterdir())
    (model / "config.json").write_text("longer than it was: " * 9)
    with pytest.raises(InputError, match=r"config\.json: damaged or was changed"):
        check_as_recorded(model)


def test_a_missing_file_of_a_checkpoint_is_named(recorded):
    (recorded[0] / "one.safetensors").unlink()
    with pytest.raises(InputError, match=r"one\.safetensors: missing since"):
        check_as_recorded(recorded[0])


def test_a_data_set_that_lost_its_last_line_is_named(recorded):
    recorded[1].write_text('{"a": 1}\n')
    with pytest.raises(InputError, match=r"rows\.jsonl: damaged or was changed"):
        check_as_recorded(recorded[1])


def test_what_has_no_source_file_is_not_checked(tmp_path):
    check_as_recorded(tmp_path)
    check_as_recorded(tmp_path / "rows.jsonl")
