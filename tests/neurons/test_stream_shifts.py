"""Mean shifts of the residual stream, from caches made by hand."""

import average_shifts
import h5py
import numpy as np
import pytest
from support.captured_pair import run_main

from dpo_neurons.errors import InputError
from dpo_neurons.neurons.stream_shifts import draw_random_vectors, read_shifts

BEFORE = [[[1.0, 0], [0, 0], [2, 2]], [[3, 0], [0, 0], [4, 2]], [[9, 9], [9, 9], [9, 9]]]
AFTER = [[[2.0, 0], [0, 0], [2, 5]], [[6, 0], [0, 0], [4, 3]], [[0, 0], [0, 0], [0, 0]]]
"""Streams of three prompts after three blocks, two wide; only one model continued the third."""


@pytest.fixture
def caches(tmp_path):
    """Two caches, by the options of the program that reads them."""
    paths = {}
    for stage, streams, continued in (("pre", BEFORE, [1, 1, 1]), ("post", AFTER, [1, 1, 0])):
        paths[f"--activations-{stage}"] = tmp_path / f"{stage}.h5"
        with h5py.File(tmp_path / f"{stage}.h5", "w") as file:
            file["resid_post"] = np.array(streams, dtype=np.float32)
            file["mask"] = np.array(continued, dtype=bool)[:, None]
            file["tokens"] = np.zeros((3, 1), dtype=np.int32)
            file["mlp_post"] = np.zeros((3, 3, 4), dtype=np.float16)
            file["mlp_post_mean"] = np.zeros((3, 4), dtype=np.float32)
            file["mlp_out_mean"] = np.zeros((3, 2), dtype=np.float32)
    return paths


def test_the_shift_is_the_mean_over_prompts_that_both_continued(caches, tmp_path, monkeypatch):
    run_main(average_shifts, monkeypatch, {**caches, "--seed": 3, "--output": tmp_path / "s"})
    shifts = read_shifts(tmp_path / "s")
    assert shifts["shift"].tolist() == [[2, 0], [0, 0], [0, 2]]
    lengths = np.linalg.norm(shifts["random"], axis=1)
    np.testing.assert_allclose(lengths, [2, 0, 2])
    assert not np.allclose(shifts["random"], shifts["shift"])


def test_random_vectors_depend_on_the_seed_alone_and_lie_anywhere():
    shifts = np.ones((4, 500))
    drawn = draw_random_vectors(shifts, 7)
    assert np.array_equal(drawn, draw_random_vectors(shifts, 7))
    assert not np.array_equal(drawn, draw_random_vectors(shifts, 8))
    cosines = (drawn * shifts).sum(axis=1) / 500
    assert (np.abs(cosines) < 5 / np.sqrt(500)).all()


def test_caches_of_no_common_prompt_are_named(caches, tmp_path, monkeypatch):
    with h5py.File(caches["--activations-pre"], "a") as file:
        file["mask"][...] = False
    options = {**caches, "--seed": 3, "--output": tmp_path / "s"}
    with pytest.raises(InputError, match="no prompt was continued by both models"):
        run_main(average_shifts, monkeypatch, options)
