"""The mean shift of the residual stream after each block, to be added to the first model."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.errors import InputError
from dpo_neurons.files.tables import read_table

COLUMNS = ("layer", "dimension", "shift", "random")


def find_continued_prompts(pre: h5py.File, post: h5py.File) -> np.ndarray:
    """Find the prompts that both models continued by at least one counted token.

    Returns (n_prompts,) bool.
    Raises InputError if there are none or the two caches do not belong together.
    """
    for name in ("resid_post", "mlp_post_mean"):
        if pre[name].shape != post[name].shape:
            raise InputError(
                f"{pre.filename}, {post.filename}: {name} of shapes {pre[name].shape} and "
                f"{post[name].shape}; capture both again on the same prompts"
            )
    continued: np.ndarray = pre["mask"][:].any(axis=1) & post["mask"][:].any(axis=1)
    if not continued.any():
        raise InputError(
            f"{pre.filename}, {post.filename}: no prompt was continued by both models, so there "
            "is no shift to measure; give data.challenge_prompts more unfinished texts"
        )
    return continued


def mean_shifts(pre: h5py.File, post: h5py.File) -> np.ndarray:
    """Compute the mean of `resid_post` after fine-tuning minus before: (n_layers, d_model) float64.

    pre, post: the caches. A prompt counts once, by its mean over counted tokens, if both models
    continued it; this is the `mean` of `residual_shifts.Shift`.
    Raises InputError as `find_continued_prompts` does.
    """
    continued = find_continued_prompts(pre, post)
    before, after = (
        cache["resid_post"][:][continued].mean(axis=0, dtype=np.float64) for cache in (pre, post)
    )
    shifts: np.ndarray = after - before
    return shifts


def draw_random_vectors(shifts: np.ndarray, seed: int) -> np.ndarray:
    """Draw vectors of random directions, each as long as the shift of its layer."""
    random = np.random.default_rng(seed).normal(size=shifts.shape)
    norms, drawn_norms = (np.linalg.norm(part, axis=1, keepdims=True) for part in (shifts, random))
    vectors: np.ndarray = random * (norms / drawn_norms)
    return vectors


def tabulate_shifts(shifts: np.ndarray, random: np.ndarray) -> pd.DataFrame:
    """Tabulate shifts and random vectors, (n_layers, d_model): the COLUMNS, a row a number."""
    layer, dimension = np.indices(shifts.shape)
    values = np.stack([part.reshape(-1) for part in (layer, dimension, shifts, random)], axis=1)
    table = pd.DataFrame(values, columns=list(COLUMNS))
    return table.astype({"layer": "int64", "dimension": "int64"})


def read_shifts(path: Path) -> Mapping[str, np.ndarray]:
    """Read `shift` and `random`, (n_layers, d_model) each, from a table of `tabulate_shifts`.

    Raises InputError if the file is damaged or lacks a column.
    """
    table = read_table(path, COLUMNS, "shifts of the stream need")
    n_layers = table["layer"].nunique()
    return {name: table[name].to_numpy().reshape(n_layers, -1) for name in COLUMNS[2:]}
