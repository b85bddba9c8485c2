"""A user's mistake gives one sentence with place and remedy, and no files."""

import json
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from support.workflow import RESULTS, changed_config, copy_project, program, run_warm, snakemake

pytest_plugins = ["support.finished_study"]

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


def assert_told(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    """The sentence stands on one line, and no traceback anywhere."""
    assert result.returncode != 0, result.stdout
    lines = result.stdout.splitlines()
    assert any(all(part in line for part in parts) for line in lines), result.stdout
    assert "Traceback" not in result.stdout, result.stdout


def assert_nothing_left(directory: Path) -> None:
    assert [path for path in directory.rglob("*") if not path.is_dir()] == []


@pytest.mark.parametrize(
    ("dataset", "text", "parts"),
    [
        ("challenge_prompts", "", ["file is empty", "at least one line", '{"prompt": ']),
        ("challenge_prompts", '{"prompt": "a"}\n{"prompt": \n', ["line 2", "not valid JSON"]),
        (
            "challenge_prompts",
            '{"prompt": "a"}\n{"text": "b"}\n',
            ["line 2", "no column 'prompt' among text"],
        ),
        ("challenge_prompts", '{"prompt": 7}\n', ["line 1", 'the key "prompt"', "text"]),
        ("challenge_prompts", '["a"]\n', ["line 1", "must be one JSON object"]),
        ("reference_sentences", '{"prompt": "a"}\n', ["line 1", "no column 'gold' among prompt"]),
        ("labelled_comments", '{"text": "a", "toxic": 2}\n', ['"toxic"', "between 0 and 1"]),
        ("lexicon", '{"word": "oaf", "severity": "high"}\n', ['"severity"', "between 0 and 1"]),
    ],
)
def test_a_mistake_in_a_data_set_is_told_with_its_line(
    tmp_path: Path, dataset: str, text: str, parts: list[str]
) -> None:
    mine = tmp_path / "mine.jsonl"
    mine.write_text(text, encoding="utf-8")
    out = tmp_path / "out"
    result = program(
        "import_data",
        f"--dataset {dataset} --paths {mine} --output {out}/x.jsonl --source-output {out}/x.json",
    )
    assert_told(result, str(mine), *parts)
    assert_nothing_left(out)


@pytest.mark.parametrize(
    ("config", "parts"),
    [
        ('{"model_type": "bloom"}', ["model_type 'bloom'", "gpt2", "ARCHITECTURES"]),
        (
            '{"model_type": "gpt2", "quantization_config": {"quant_method": "gptq"}}',
            ["quantised (gptq)", "integer codes", "before quantisation"],
        ),
        ("{}", ["model_type"]),
        ('{"model_type": ', ["config.json", "not valid JSON"]),
        (None, ["no config.json", "save_pretrained"]),
    ],
)
def test_a_directory_that_is_no_known_checkpoint_is_refused(
    tmp_path: Path, config: str | None, parts: list[str]
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    if config is not None:
        (mine / "config.json").write_text(config, encoding="utf-8")
    out = tmp_path / "out"
    result = program(
        "link_checkpoint", f"--path {mine} --output {out}/pre --source-output {out}/pre.json"
    )
    assert_told(result, str(mine), *parts)
    assert_nothing_left(out)


@pytest.fixture
def capture(finished_study: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Capture activations of a checkpoint, the finished one or a damaged one."""

    def run(output: Path, checkpoint: Path = RESULTS / "checkpoints/toy/pre"):
        arguments = (
            f"--checkpoint {checkpoint} --pair {RESULTS}/checkpoints/toy/pair.json"
            f" --tokenizer {RESULTS}/checkpoints/toy/pre"
            f" --source {RESULTS}/checkpoints/toy/pre.source.json"
            " --name toy --tokens 5 --positions generated"
            f" --prompts {RESULTS}/data/challenge_prompts.jsonl --dtype float32"
            " --attention default --gpus 1 --batch-size 8 --device cpu --threads 1"
            f" --pieces 1 --output {output}"
        )
        return program("capture_activations", arguments, finished_study)

    return run


def test_weights_that_are_no_numbers_are_told_with_their_layer(
    finished_study: Path, tmp_path: Path, capture
) -> None:
    mine = Path(shutil.copytree(finished_study / RESULTS / "checkpoints/toy/pre", tmp_path / "m"))
    weights = load_file(mine / "model.safetensors")
    weights["transformer.h.1.mlp.c_fc.weight"][3, 5] = np.nan
    save_file(weights, mine / "model.safetensors", metadata={"format": "pt"})
    out = tmp_path / "out"
    result = capture(out / "pre.h5", checkpoint=mine)
    assert_told(result, "models.toy: ", "layer 1", "NaN or infinite", "float32")
    assert_nothing_left(out)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 KiB; the test is skipped if none can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system may be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_told_as_such(small_disk: Path, capture) -> None:
    result = capture(small_disk / "pre.h5")
    assert_told(result, f"{small_disk}/pre.h5", "disk is full", "free some space")
    assert_nothing_left(small_disk)


@pytest.mark.parametrize("kept", [0.6, 0.0])
def test_a_damaged_activation_file_is_told_with_what_to_do(
    finished_study: Path, tmp_path: Path, kept: float
) -> None:
    whole = (finished_study / RESULTS / "activations/toy/post.h5").read_bytes()
    mine, out = tmp_path / "mine.h5", tmp_path / "out"
    mine.write_bytes(whole[: int(kept * len(whole))])
    arguments = (
        "--checkpoint-pre checkpoints/toy/pre --checkpoint-post checkpoints/toy/post"
        f" --activations-pre activations/toy/pre.h5 --activations-post {mine}"
        " --direction directions/toy/probe.safetensors --definition v1"
    )
    results = finished_study / RESULTS
    words = [str(results / one) if "/toy/" in one else one for one in arguments.split()]
    result = program("compute_contributions", " ".join([*words, "--output", f"{out}/x.parquet"]))
    assert_told(result, str(mine), "cannot be read as HDF5", "delete it and run again")
    assert_nothing_left(out)


def test_a_line_that_is_no_json_is_told_on_the_terminal_of_a_run(own_study: Path) -> None:
    (own_study / "mine.jsonl").write_text('{"prompt": "today"}\nnonsense\n', encoding="utf-8")
    change = ("data.challenge_prompts", {"kind": "file", "path": "mine.jsonl"})
    shutil.rmtree(own_study / RESULTS / "data")
    result = run_changed(own_study, change, f"{RESULTS}/data/challenge_prompts.jsonl")
    assert_told(result, "mine.jsonl", "line 2", "not valid JSON")
    assert_nothing_left(own_study / RESULTS / "data")


def test_a_direction_of_another_width_is_told_on_the_terminal_of_a_run(own_study: Path) -> None:
    save_file({"direction": np.ones((1, 16), np.float32)}, own_study / "mine.safetensors")
    change = ("directions.probe", {"kind": "file", "path": "mine.safetensors"})
    result = run_changed(own_study, change, f"{RESULTS}/contributions/toy/probe.parquet")
    assert_told(result, "probe.safetensors: the direction is 16 wide", "32 wide", "directions.")
    assert_nothing_left(own_study / RESULTS / "contributions")
    assert list(own_study.rglob(".partial-*")) == []


MISSING = ("data.challenge_prompts", {"kind": "file", "path": "missing/mine.jsonl"})


def test_a_path_that_is_not_there_is_named_before_any_job(project: Path) -> None:
    assert_told(run_changed(project, MISSING, "figures"), "missing/mine.jsonl")
    assert not (project / "results").exists()


def test_a_path_that_is_not_there_is_named_although_an_older_run_has_results(own_study) -> None:
    assert_told(run_changed(own_study, MISSING, "figures"), "missing/mine.jsonl")


def run_changed(
    study: Path, change: tuple[str, Any], target: str
) -> subprocess.CompletedProcess[str]:
    """Run a study to a target with one key of its configuration changed."""
    config = changed_config(study / "changed.yaml", change)
    return snakemake(study, target, "--cores", "1", config=config)
