"""A mistake in the configuration stops Snakemake before any job, with one sentence."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.workflow import (
    assert_told,
    changed_config,
    copy_project,
    run_warm,
    snakemake,
)

PATCH = {"kind": "patch", "groups": ["TP-"]}
CONFIGURATION = [
    ("generation.token", 5,
     "generation: unknown key 'token' (known: tokens, positions); did you mean 'tokens'?"),
    ("generation.tokens", "five",
     "generation.tokens: 'five' is of type str, but must be integer"),
    ("bootstrap.level", 95, "bootstrap.level: 95"),
    ("models.toy.pre", {"kind": "directory"}, "models.toy.pre: the key 'path' is missing; add it"),
    ("groups.definition", "v2", "groups.definition: 'v2' is not one of v1, v3"),
    ("interventions.patch_x", PATCH | {"groups": ["TQ-"]},
     "interventions.patch_x.groups.0: 'TQ-' is not one of TP-, TN+, AP+, AN-"),
    ("interventions.patch_x", PATCH | {"direction": "prob"},
     "interventions.patch_x.direction: 'prob' is not one of the directions (probe); did you mean"),
    ("interventions.toxic_tp", PATCH,
     "interventions.toxic_tp: the name of a row of kind patch must begin with 'patch_'"),
    ("interventions.patch x", PATCH,
     "interventions: 'patch x' is not a name; use letters, digits, '_', '-' and '.'"),
    ("models", {"null": {"pre": {"kind": "directory", "path": "rules"},
                         "post": {"kind": "directory", "path": "rules"}}},
     "models: 'null' is no name"),
    ("interventions.edit_x", {"kind": "edit", "alpha": [0.1, 0.10000001], "beta": 0.5},
     "interventions.edit_x: two of its values make the same row 'edit_x_a0.1_b0.5'"),
    ("generation.tokens", 10**12, "generation.tokens: 1000000000000 is greater than the maximum"),
    ("data.challenge_prompts", {"kind": "file", "path": "missing/mine.jsonl"},
     "data.challenge_prompts.path: missing/mine.jsonl does not exist"),
    ("direction", "mean", "direction: 'mean' is not one of the directions (probe)"),
    ("figures.1a_layer_projections.ablated", "ablate_top_7",
     "figures.1a_layer_projections.ablated: 'ablate_top_7' is not one of the rows that"),
]  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The project without results; a mistaken configuration adds none."""
    directory = tmp_path_factory.mktemp("mistakes") / "project"
    copy_project(directory)
    return directory


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [CONFIGURATION[0], *(pytest.param(*row, marks=pytest.mark.slow) for row in CONFIGURATION[1:])],
)
def test_a_mistake_in_the_configuration_stops_before_any_job(
    project: Path, tmp_path: Path, key: str, value: Any, sentence: str
) -> None:
    config = changed_config(tmp_path / "mine.yaml", (key, value))
    result = snakemake(project, "figures", "--cores", "1", config=config)
    assert_told(result, f"mine.yaml: {sentence}")
    assert not (project / "results").exists()


SECRET = "s3cr3t-w0rd"


@pytest.mark.parametrize("where", ["a file", "the command line"])
def test_a_password_in_an_endpoint_is_neither_shown_nor_stored(
    project: Path, tmp_path: Path, where: str
) -> None:
    scorer = {"kind": "perspective", "endpoint": f"https://me:{SECRET}@host.org"}
    if where == "a file":
        config = changed_config(tmp_path / "mine.yaml", ("scorer", scorer))
        result = snakemake(project, "figures", "--cores", "1", config=config)
    else:
        entry = f"scorer={json.dumps(scorer)}"
        result = snakemake(project, "figures", "--cores", "1", "--config", entry)
    assert_told(result, "scorer.endpoint: must be an address without user, password, ? and #")
    assert SECRET not in result.stdout
    stored = [path for path in project.rglob("*") if path.is_file()]
    assert len(stored) > 50
    assert not [path for path in stored if SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("text", "entries", "words"),
    [
        ("\nseed: 3\n", [], "mine.yaml: seed: the key stands twice (lines"),
        ("", ["seed=1", "seed=2"], "--config: the key 'seed' stands twice"),
        ("", ["generation={tokens: 5, tokens: 6}"], "--config generation: tokens: the key stands"),
    ],
)
def test_a_key_that_stands_twice_stops_before_any_job(
    project: Path, tmp_path: Path, text: str, entries: list[str], words: str
) -> None:
    config = changed_config(tmp_path / "mine.yaml")
    config.write_text(config.read_text(encoding="utf-8") + text, encoding="utf-8")
    options = ["--config", *entries] if entries else []
    result = snakemake(project, "figures", "--cores", "1", *options, config=config)
    assert_told(result, words)
    assert not (project / "results").exists()


def test_a_configuration_of_the_project_that_is_no_yaml_is_told_with_its_line(
    tmp_path: Path,
) -> None:
    copy_project(tmp_path / "project")
    (tmp_path / "project/config.yaml").write_text("study: a\ndata:\n\tseed: 1\n")
    result = run_warm(["snakemake", "figures", "-n"], tmp_path / "project")
    assert_told(result, "config.yaml, line 3, column 1: a tab")


LABEL = 'a {b} {} {model} "q" $x'


@pytest.mark.slow
def test_braces_in_a_label_are_kept(project: Path, tmp_path: Path) -> None:
    (tmp_path / "classifier").mkdir()
    (tmp_path / "classifier/config.json").touch()
    scorer = {"kind": "classifier", "path": str(tmp_path / "classifier"), "activation": "sigmoid"}
    config = changed_config(tmp_path / "mine.yaml", ("scorer", scorer | {"label": LABEL}))
    result = snakemake(project, "figures", "-n", "-p", config=config)
    assert result.returncode == 0, result.stdout
    assert f"--label {shlex.quote(LABEL)} " in result.stdout


def test_a_project_in_a_folder_with_braces_is_told(tmp_path: Path) -> None:
    copy_project(tmp_path / "a{b}c")
    result = snakemake(tmp_path / "a{b}c", "figures", "-n")
    assert_told(result, "a{b}c: its path has braces, which Snakemake reads as wildcards")


def test_a_file_in_place_of_the_results_is_told(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / "study")
    (tmp_path / "study/results").write_text("mine")
    result = snakemake(tmp_path / "study", "figures", "--cores", "1")
    assert_told(result, "study/results: a file stands where a folder should be; move it away")
    assert (tmp_path / "study/results").read_text() == "mine"
