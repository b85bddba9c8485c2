"""The table of sources, as the program writes it."""

import re

import pandas as pd
import pytest
from support.workflow import program

from dpo_neurons.files.provenance import write_source
from dpo_neurons.study.source_table import to_page

REVISION = "ab" * 20
SOURCES = {
    "data/challenge_prompts": {
        "kind": "hub",
        "repository": "some/prompts",
        "revision": REVISION,
        "files": {"b.jsonl": "2" * 64, "a.jsonl": "1" * 64},
        "rows": 1199,
        "rows_left_out": {"blank prompt": 2, "not challenging=true": 98},
        "sha256": "3" * 64,
    },
    "data/lexicon": {"kind": "synthetic", "seed": 1, "rows": 5, "sha256": "4" * 64},
    "checkpoints/toy/pre": {
        "kind": "directory",
        "path": "mine/<b>",
        "given": {"weights.bin": "5" * 64},
        "files": {"model.safetensors": "6" * 64},
    },
}


@pytest.fixture
def tabulate(tmp_path):
    def run(sources):
        for name, facts in sources.items():
            write_source(tmp_path / "results/x" / f"{name}.source.json", facts)
        paths = " ".join(str(tmp_path / "results/x" / f"{name}.source.json") for name in sources)
        return program(
            "tabulate_sources",
            f"--results {tmp_path}/results/x --sources {paths} --csv {tmp_path}/sources.csv"
            f" --page {tmp_path}/sources.html",
        )

    return run


def test_every_source_and_each_of_its_files_has_a_row(tabulate, tmp_path):
    result = tabulate(SOURCES)
    assert result.returncode == 0, result.stdout
    table = pd.read_csv(tmp_path / "sources.csv", dtype=str, keep_default_na=False)
    hub = ["data/challenge_prompts", "hub", "some/prompts", REVISION]
    mine = ["checkpoints/toy/pre", "directory", "mine/<b>", "", "", ""]
    left_out = "2 blank prompt, 98 not challenging=true"
    assert table.to_numpy().tolist() == [
        [*hub, "1199", left_out, "", "3" * 64],
        [*hub, "", "", "a.jsonl", "1" * 64],
        [*hub, "", "", "b.jsonl", "2" * 64],
        ["data/lexicon", "synthetic", "", "", "5", "", "", "4" * 64],
        ["checkpoints/toy/pre", "directory", "mine/<b>", "", "", "", "", ""],
        [*mine, "given: weights.bin", "5" * 64],
        [*mine, "model.safetensors", "6" * 64],
    ]


def test_the_page_needs_nothing_else_and_escapes_names(tabulate, tmp_path):
    tabulate(SOURCES)
    page = (tmp_path / "sources.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|src=|@import|<script|<link", page)
    assert "mine/&lt;b&gt;" in page
    assert f"<td>{'1' * 12}</td>" in page
    assert page.count("<tr") == 1 + 7


def test_long_paths_are_not_cut_on_the_page_and_checksums_are():
    path = "folder/" * 40 + "end.jsonl"
    table = pd.DataFrame([{"file": path, "revision": f"sha256:{'2' * 64}", "sha256": "1" * 64}])
    assert f"<td>{path}</td>" in to_page(table, "<")
    assert f"<td>sha256:{'2' * 12}</td>" in to_page(table, "<")
    assert f"<td>{'1' * 12}</td>" in to_page(table, "<")
    assert "<h1>&lt;</h1>" in to_page(table, "<")


def test_a_damaged_source_is_named_and_nothing_is_written(tabulate, tmp_path):
    result = tabulate(SOURCES | {"data/lexicon": {"seed": 1}})
    assert result.returncode == 1
    assert "lexicon.source.json: damaged" in result.stdout
    assert "Traceback" not in result.stdout
    assert not list(tmp_path.glob("sources*"))
