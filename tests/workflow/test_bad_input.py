"""A user's mistake gives one sentence with place and remedy, and no files."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from support.workflow import RESULTS, assert_told, changed_config, program, snakemake

pytest_plugins = ["support.finished_study"]


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


@pytest.mark.parametrize("share", [0.6, 0.0])
def test_a_damaged_activation_file_is_told_with_what_to_do(
    finished_study: Path, tmp_path: Path, share: float
) -> None:
    whole = (finished_study / RESULTS / "activations/toy/post.h5").read_bytes()
    mine, out = tmp_path / "mine.h5", tmp_path / "out"
    mine.write_bytes(whole[: int(share * len(whole))])
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


def test_a_path_that_is_not_there_is_named_although_an_older_run_has_results(own_study) -> None:
    missing = ("data.challenge_prompts", {"kind": "file", "path": "missing/mine.jsonl"})
    assert_told(run_changed(own_study, missing, "figures"), "missing/mine.jsonl")


def run_changed(
    study: Path, change: tuple[str, Any], target: str
) -> subprocess.CompletedProcess[str]:
    """Run a study to a target with one key of its configuration changed."""
    config = changed_config(study / "changed.yaml", change)
    return snakemake(study, target, "--cores", "1", config=config)
