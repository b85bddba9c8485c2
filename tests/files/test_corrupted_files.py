"""Truncated or overwritten files give an error with a remedy, and are never read as data."""

import random
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.activations.cache import open_cache
from dpo_neurons.checkpoints.saving import checksums
from dpo_neurons.directions.direction_files import read_direction, read_stored_rows, write_direction
from dpo_neurons.errors import InputError
from dpo_neurons.evaluation.outcomes import read_outcomes
from dpo_neurons.files.json_text import write_checked_json
from dpo_neurons.files.jsonl import read_jsonl, write_jsonl
from dpo_neurons.files.provenance import read_source, sha256_of, write_source
from dpo_neurons.files.tables import read_csv, write_table
from dpo_neurons.interventions.plans import make_plan, read_plans, write_plans
from dpo_neurons.models.loading import load_model, load_tokenizer
from dpo_neurons.models.weight_reader import StoredWeights
from dpo_neurons.neurons.contributions import COLUMNS as CONTRIBUTIONS
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.neurons.neuron_table import NEURON_COLUMNS, read_neurons
from dpo_neurons.study.datasets import read_dataset

N = 40
NUMBERS = np.random.default_rng(3).normal(size=N)
NEURONS = pd.DataFrame({"layer": np.repeat([0, 1], N // 2), "neuron": np.tile(range(N // 2), 2)})
SCORES = pd.DataFrame(
    {"intervention": "none", "toxicity": NUMBERS, "toxicity_equal_length": NUMBERS}
)
ROWS = [{"prompt": f"today 日本 {number}", "continuation": "a"} for number in range(9)]


def csv(path: Path) -> None:
    pd.DataFrame({"a": NUMBERS, "b": NUMBERS}).to_csv(path, index=False)


def neurons(path: Path, columns: tuple[str, ...]) -> None:
    write_table(path, NEURONS.assign(**{name: NUMBERS for name in columns if name not in NEURONS}))


def perplexity(path: Path) -> None:
    write_table(path.parents[2] / "scores/toy/none.parquet", SCORES)
    row = {"intervention": "none", "window_losses": [1.25, 2.5], "window_tokens": [3, 4]}
    row["screened"] = False
    write_checked_json(path, {"interventions": [row]})


def scores(path: Path) -> None:
    measured = path.parents[2] / "perplexity/toy/none.json"
    measured.parent.mkdir(parents=True)
    perplexity(measured)
    write_table(path, SCORES)


def outcomes(path: Path) -> list[bytes]:
    rows = pd.DataFrame({"intervention": ["none"], "entry": ["none"]})
    found = read_outcomes(path.parents[2], "toy", rows)
    return [found.toxicity.tobytes(), found.window_losses.tobytes(), found.window_tokens.tobytes()]


ARTIFACTS = {
    "direction.safetensors": (
        lambda path: write_direction(path, NUMBERS, {"kind": "probe"}),
        lambda path: [read_direction(path).tobytes(), read_stored_rows(path).tobytes()],
    ),
    "plans/toy/patch.parquet": (
        lambda path: write_plans(path, {"patch": make_plan(NEURONS, "set", NUMBERS)}),
        lambda path: {name: plan.to_csv() for name, plan in read_plans(path).items()},
    ),
    "contributions.parquet": (
        lambda path: neurons(path, CONTRIBUTIONS),
        lambda path: read_contributions(path)[list(CONTRIBUTIONS)].to_csv(),
    ),
    "neurons.parquet": (
        lambda path: neurons(path, NEURON_COLUMNS),
        lambda path: read_neurons(path)[list(NEURON_COLUMNS)].to_csv(),
    ),
    "scores/toy/none.parquet": (scores, outcomes),
    "perplexity/toy/none.json": (perplexity, outcomes),
    "pre.source.json": (
        lambda path: write_source(path, {"kind": "hub", "files": {"a": "b"}}),
        read_source,
    ),
    "rows.jsonl": (
        lambda path: write_jsonl(path, ROWS),
        lambda path: read_jsonl(path, ("prompt", "continuation")),
    ),
    "table.csv": (csv, lambda path: read_csv(path, ("a", "b")).to_csv()),
}
"""All kinds of files that programs exchange, except activations and checkpoints."""
CHECKSUMMED = [
    name
    for name in ARTIFACTS
    if name.endswith((".parquet", ".safetensors")) or name.startswith("perplexity/")
]


@pytest.fixture
def artifact(tmp_path: Path, request: pytest.FixtureRequest):
    """A file of the requested kind: its path, and the function that reads it."""
    write, read = ARTIFACTS[request.param]
    path = tmp_path / request.param
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path)
    return path, read


def assert_named(path: Path, read, where: Path | None = None) -> None:
    with pytest.raises(InputError) as caught:
        read(path)
    sentence = str(caught.value)
    assert sentence.startswith(str(where or path)), sentence
    assert "\n" not in sentence


def sentence_or_same(path: Path, read, undamaged) -> str:
    """The error of reading a damaged file; nothing if the content is unchanged."""
    try:
        content = read(path)
    except InputError as error:
        return str(error) if str(error).startswith(str(path)) else pytest.fail(str(error))
    assert content == undamaged
    return ""


@pytest.mark.parametrize("artifact", ARTIFACTS, indirect=True)
def test_a_file_that_is_cut_off_is_named(artifact) -> None:
    path, read = artifact
    read(path)
    whole = path.read_bytes()
    draw = random.Random(path.name)
    # A text that is cut at the end of a line is valid and only has fewer lines.
    lengths = [length for length in range(len(whole) - 1) if whole[length - 1 : length] != b"\n"]
    for length in [0, *draw.sample(lengths, 12)]:
        if whole[:length].strip() and whole[length : length + 1] == b"\n" and path.suffix != ".csv":
            continue  # only the end of its line is gone
        path.write_bytes(whole[:length])
        assert_named(path, read)


@pytest.mark.parametrize("artifact", CHECKSUMMED, indirect=True)
def test_a_bit_that_is_flipped_anywhere_is_named_or_changes_nothing(artifact) -> None:
    path, read = artifact
    whole, undamaged = path.read_bytes(), read(path)
    draw = random.Random(path.name)
    said = []
    for place in draw.sample(range(len(whole)), min(400, len(whole))):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        said.append(sentence_or_same(path, read, undamaged))
    assert sum(map(bool, said)) > 50


@pytest.mark.parametrize("artifact", ARTIFACTS, indirect=True)
def test_overwritten_bytes_are_named_or_change_nothing(artifact) -> None:
    path, read = artifact
    whole, undamaged = path.read_bytes(), read(path)
    said = []
    for block in (bytes(20), random.Random(4).randbytes(20), b"\xff" * 20):
        for start in range(0, len(whole) - len(block), max(len(whole) // 9, 1)):
            path.write_bytes(whole[:start] + block + whole[start + len(block) :])
            said.append(sentence_or_same(path, read, undamaged))
    # Some bytes of a parquet file are never read.
    assert sum(map(bool, said)) > len(said) * 0.6


@pytest.mark.parametrize("artifact", ARTIFACTS, indirect=True)
def test_a_missing_file_is_named(artifact) -> None:
    path, read = artifact
    path.unlink()
    assert_named(path, read)


def test_an_old_direction_without_a_checksum_is_still_read(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    rows = np.eye(2, 5, dtype=np.float32)
    save_file({"direction": rows}, tmp_path / "d.safetensors")
    np.testing.assert_array_equal(read_direction(tmp_path / "d.safetensors"), rows)


@pytest.fixture
def checkpoint(checkpoints, tmp_path: Path) -> Path:
    """A checkpoint of one's own."""
    return Path(shutil.copytree(checkpoints["gpt2", "pre"], tmp_path / "model"))


@pytest.mark.parametrize("share", [0, 7, 300, 0.5, 0.999])
def test_weights_that_are_cut_off_are_named_by_both_readers(checkpoint: Path, share: float) -> None:
    file = checkpoint / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share if share > 1 else share * len(whole))])
    assert_named(checkpoint, StoredWeights, where=file)
    assert_named(checkpoint, lambda path: load_model(path, "float32", "cpu"))


@pytest.mark.parametrize("read", [StoredWeights, lambda path: load_model(path, "float32", "cpu")])
def test_a_flipped_bit_of_a_weight_is_named_by_both_readers(checkpoint: Path, read) -> None:
    files = checksums(checkpoint)
    write_source(checkpoint.with_name("model.source.json"), {"kind": "sft", "files": files})
    read(checkpoint)
    file = checkpoint / "model.safetensors"
    damaged = bytearray(file.read_bytes())
    damaged[-100] ^= 1
    file.write_bytes(damaged)
    assert_named(checkpoint, read, where=file)


def test_a_data_set_that_lost_its_last_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "challenge_prompts.jsonl"
    write_jsonl(path, ROWS)
    write_source(path.with_suffix(".source.json"), {"kind": "file", "sha256": sha256_of(path)})
    assert len(read_dataset(path, "challenge_prompts")) == len(ROWS)
    write_jsonl(path, ROWS[:-1])
    assert_named(path, lambda one: read_dataset(one, "challenge_prompts"))


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "config.json"])
@pytest.mark.parametrize("share", [0, 0.5, 0.95])
def test_the_other_files_of_a_checkpoint_are_named_too(
    checkpoint: Path, name: str, share: float
) -> None:
    whole = (checkpoint / name).read_bytes()
    (checkpoint / name).write_bytes(whole[: int(share * len(whole))])
    if name == "config.json":
        assert_named(checkpoint, lambda path: load_model(path, "float32", "cpu"))
    else:
        assert_named(checkpoint, load_tokenizer)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", bytes(4096)])
def test_what_is_no_hdf5_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pre.h5"
    path.write_bytes(content)
    assert_named(path, lambda one: open_cache(one).__enter__())
