"""The program that imports a data set, and the one that makes one: files and their sources."""

import hashlib
import json

import pandas as pd
import pytest
from support.hub_stand_in import HubStandIn
from support.workflow import program

from dpo_neurons.files.provenance import read_source


@pytest.fixture
def import_data(tmp_path):
    """Import with outputs out/x.jsonl and out/x.source.json."""

    def import_data(arguments):
        outputs = f" --output {tmp_path}/out/x.jsonl --source-output {tmp_path}/out/x.source.json"
        result = program("import_data", arguments + outputs)
        assert "Traceback" not in result.stdout, result.stdout
        return result

    return import_data


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_rows_and_checksums_of_all_files_are_written(import_data, tmp_path):
    first = b'{"p": {"q": "a"}, "c": "x", "r": "y"}\n{"p": {"q": ""}, "c": "x", "r": "y"}\n'
    second = b'{"p": {"q": "b"}, "c": "x", "r": "y"}\n'
    (tmp_path / "1.jsonl").write_bytes(first)
    (tmp_path / "2.jsonl").write_bytes(second)
    result = import_data(
        f"--dataset preference_pairs --paths '{tmp_path}/*.jsonl'"
        " --columns prompt=p.q chosen=c rejected=r --where c=x r=y --rows 7"
    )
    assert result.returncode == 0, result.stdout
    written = (tmp_path / "out/x.jsonl").read_bytes()
    assert [json.loads(line) for line in written.splitlines()] == [
        {"prompt": "a", "chosen": "x", "rejected": "y"},
        {"prompt": "b", "chosen": "x", "rejected": "y"},
    ]
    assert read_source(tmp_path / "out/x.source.json") == {
        "kind": "file",
        "files": {f"{tmp_path}/1.jsonl": sha256(first), f"{tmp_path}/2.jsonl": sha256(second)},
        "rows": 2,
        "rows_left_out": {"blank prompt": 1},
        "sha256": sha256(written),
    }


def test_a_fetched_data_set_keeps_its_names_in_the_repository(import_data, tmp_path, monkeypatch):
    held = tmp_path / "held" / "wiki raw"
    held.mkdir(parents=True)
    for number in range(2):
        pd.DataFrame({"text": ["", f"a b c{number} "]}).to_parquet(held / f"test-{number}.parquet")
    with HubStandIn() as hub:
        revision = hub.add("dataset", "some/text", held.parent)
        for name, value in hub.environment(tmp_path / "cache").items():
            monkeypatch.setenv(name, value)
        fetched = program(
            "fetch_from_hub",
            f"--type dataset --repository some/text --revision {revision}"
            " --patterns 'wiki raw/test-*.parquet'"
            f" --output {tmp_path}/data --source-output {tmp_path}/data.json",
        )
    assert fetched.returncode == 0, fetched.stdout
    result = import_data(
        f"--dataset reference_sentences --paths '{tmp_path}/data/wiki raw/test-*.parquet'"
        f" --prompt-words 2 --repository some/text --revision {revision}"
    )
    assert result.returncode == 0, result.stdout
    facts = read_source(tmp_path / "out/x.source.json")
    assert facts["files"] == read_source(tmp_path / "data.json")["files"]
    assert list(facts["files"]) == ["wiki raw/test-0.parquet", "wiki raw/test-1.parquet"]
    assert facts["kind"] == "hub"
    assert (facts["repository"], facts["revision"]) == ("some/text", revision)
    assert (facts["rows"], facts["rows_left_out"]) == (2, {"blank text": 2})
    first, _ = (tmp_path / "out/x.jsonl").read_text().splitlines()
    assert json.loads(first) == {"prompt": "a b", "gold": " c0 "}


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ("--columns text=comment", ["mine.csv, line 2: ", "'comment' among id, comment_text"]),
        ("--columns text=id --where toxic=2", ["mine.csv: no row remains", "not toxic=2 (2)"]),
        ("--columns text=id threat=threat", ["columns.threat: no column 'threat' among id"]),
        ("--columns text=id rude=comment_text", ['line 2: needs the key "rude" with a number']),
        ("--columns text=comment_text", ['mine.csv, line 4: needs the key "toxic"']),
        (
            "--columns text=id --prompt-words 3",
            ["is for challenge_prompts and refere"],
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(import_data, tmp_path, arguments, parts):
    (tmp_path / "mine.csv").write_text('id,comment_text,toxic\n1,"a\nb",0\n2,c,5\n')
    result = import_data(f"--dataset labelled_comments --paths {tmp_path}/mine.csv {arguments}")
    assert result.returncode == 1
    (last,) = [line for line in result.stdout.splitlines() if line.startswith("Error: ")]
    assert all(part in last for part in parts), last
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", ["--columns text", "--where =1"])
def test_pairs_need_a_name_and_an_equals_sign(import_data, arguments):
    result = import_data(f"--dataset lexicon --paths x {arguments}")
    assert result.returncode == 2
    assert "is not of the form name=value" in result.stdout


def test_made_data_says_its_seed_and_checksum(tmp_path):
    result = program(
        "write_synthetic_data",
        f"--dataset perplexity_text --rows 4 --seed 7 --output {tmp_path}/x.jsonl"
        f" --source-output {tmp_path}/x.source.json",
    )
    assert result.returncode == 0, result.stdout
    assert read_source(tmp_path / "x.source.json") == {
        "kind": "synthetic",
        "seed": 7,
        "rows": 4,
        "sha256": sha256((tmp_path / "x.jsonl").read_bytes()),
    }
