"""The program that splits reductions, from caches to its two tables."""

import logging

import compute_contributions
import decompose_reductions
import h5py
import numpy as np
import pandas as pd
import pytest
from support.captured_pair import capture_pair, run_main

from dpo_neurons.directions.direction_files import write_direction
from dpo_neurons.errors import InputError
from dpo_neurons.neurons.decomposition import COLUMNS, SOURCES


@pytest.fixture
def arguments(checkpoints, loaded, tokenizer, tmp_path, monkeypatch):
    """The program's input files."""
    pre, post = (loaded("mistral", stage) for stage in ("pre", "post"))
    capture_pair(pre, post, tokenizer, tmp_path)
    write_direction(tmp_path / "d.safetensors", np.arange(1.0, 17), {"kind": "file"})
    shared = {
        "--checkpoint-pre": checkpoints["mistral", "pre"],
        "--checkpoint-post": checkpoints["mistral", "post"],
        "--activations-pre": tmp_path / "pre.h5",
        "--direction": tmp_path / "d.safetensors",
    }
    contributions = {
        **shared,
        "--activations-post": tmp_path / "post.h5",
        "--definition": "v1",
        "--output": tmp_path / "contributions.parquet",
    }
    run_main(compute_contributions, monkeypatch, contributions)
    return {
        **shared,
        "--contributions": tmp_path / "contributions.parquet",
        "--activations-crossed": tmp_path / "crossed.h5",
        "--output": tmp_path / "split.parquet",
        "--summary-output": tmp_path / "split.csv",
    }


def test_the_parts_sum_to_each_neurons_reduction(arguments, tmp_path, monkeypatch):
    run_main(decompose_reductions, monkeypatch, arguments)
    split = pd.read_parquet(tmp_path / "split.parquet")
    table = pd.read_parquet(tmp_path / "contributions.parquet")
    assert list(split) == list(COLUMNS)
    assert {split[source].dtype.name for source in SOURCES} == {"float64"}
    for column in ("layer", "neuron", "reduction"):
        pd.testing.assert_series_equal(split[column], table[column])
    assert np.abs(split[list(SOURCES)].sum(axis=1) - split["reduction"]).max() < 1e-10
    assert (split[list(SOURCES)].abs().max() > 1e-3).all()
    summary = pd.read_csv(tmp_path / "split.csv")
    assert summary["by"].tolist()[:9] == ["all", *["group"] * 8]
    whole = summary.iloc[0]
    assert whole["reduction"] == pytest.approx(table["reduction"].sum(), abs=1e-12)
    assert whole["from_key"] == pytest.approx(split["from_key"].sum(), abs=1e-12)


def test_prompts_that_were_continued_otherwise_are_counted(
    arguments, tmp_path, monkeypatch, caplog
):
    with h5py.File(tmp_path / "crossed.h5", "a") as file:
        file["tokens"][2, 1] += 1
    with caplog.at_level(logging.WARNING):
        run_main(decompose_reductions, monkeypatch, arguments)
    assert "1 prompts have other continuations" in caplog.text


def test_a_capture_of_other_prompts_is_refused(arguments, tmp_path, monkeypatch):
    with h5py.File(tmp_path / "crossed.h5", "a") as file:
        tokens, mask = file["tokens"][:3], file["mask"][:3]
        del file["tokens"], file["mask"]
        file["tokens"], file["mask"] = tokens, mask
    with pytest.raises(InputError, match=r"crossed\.h5: captured on \(3, 4\).*\(5, 4\)"):
        run_main(decompose_reductions, monkeypatch, arguments)


def test_a_capture_of_another_shape_is_refused(arguments, tmp_path, monkeypatch):
    with h5py.File(tmp_path / "crossed.h5", "a") as file:
        mean = file["mlp_post_mean"][:2]
        del file["mlp_post_mean"]
        file["mlp_post_mean"] = mean
    with pytest.raises(InputError, match=r"crossed\.h5: 48 neurons.*have 72"):
        run_main(decompose_reductions, monkeypatch, arguments)


def test_another_checkpoint_is_refused(arguments, checkpoints, tmp_path, monkeypatch):
    arguments["--checkpoint-post"] = checkpoints["mistral", "other"]
    with pytest.raises(InputError, match=r"contributions\.parquet: not those of the post check"):
        run_main(decompose_reductions, monkeypatch, arguments)
    assert not (tmp_path / "split.parquet").exists()


def test_a_crossed_cache_is_not_taken_for_one_of_a_checkpoint(arguments, tmp_path, monkeypatch):
    arguments["--activations-crossed"] = tmp_path / "pre.h5"
    with pytest.raises(InputError, match="lacks the dataset 'mlp_post_same_text_mean'"):
        run_main(decompose_reductions, monkeypatch, arguments)
