"""Each prompt's part of mean projections, and drops under resampled prompts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.activations.cache import open_cache_pair
from dpo_neurons.errors import InputError
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.statistics.bootstrap import resampled_sums


@contextmanager
def open_contributions(
    contributions: Path, activations_pre: Path, activations_post: Path
) -> Iterator[tuple[pd.DataFrame, h5py.File, h5py.File]]:
    """Open a table of contributions and the two caches that it was computed from.

    Yields the table, then the caches of the first and of the fine-tuned checkpoint.
    Raises InputError for files that are damaged or do not belong together.
    """
    table = read_contributions(contributions)
    with open_cache_pair(activations_pre, activations_post) as (pre, post):
        for path, cache in ((activations_pre, pre), (activations_post, post)):
            n_prompts, n_layers, d_mlp = cache["mlp_post"].shape
            if n_layers * d_mlp != len(table) or n_prompts != len(pre["mask"]):
                raise InputError(
                    f"{path}: activations of {n_prompts} prompts and {n_layers * d_mlp} neurons do "
                    f"not fit {contributions}, which has {len(table)} neurons, and "
                    f"{activations_pre}; capture them again"
                )
        yield table, pre, post


@dataclass(frozen=True)
class PromptProjections:
    """Each prompt's parts of the mean projections of sets of neurons."""

    sums: np.ndarray
    """(n_prompts, n_sets): projection summed over a prompt's counted tokens and a set's neurons."""
    tokens: np.ndarray
    """(n_prompts,): counted tokens."""


def value_components(table: pd.DataFrame, stage: str, row: str = "") -> np.ndarray:
    """Components of written vectors along the unit direction: (n_neurons,).

    They are read from contributions as projection / activation, v · w/|w|, for `stage` "pre" or
    "post". row: suffix of a subspace's columns, such as "_2". A neuron whose mean activation is
    exactly zero gets zero; in practice it is a ReLU neuron that never fired, and so adds nothing.
    """
    activation = table[f"activation_{stage}"].to_numpy()
    projection = table[f"projection_{stage}{row}"].to_numpy()
    components = np.zeros(len(table))
    np.divide(projection, activation, out=components, where=activation != 0)
    return components


def project_prompts(
    table: pd.DataFrame, cache: h5py.File, stage: str, sets: np.ndarray, row: str = ""
) -> PromptProjections:
    """Project each prompt's mean activations, set by set, for `stage` "pre" or "post".

    table: contributions in order of layer and neuron. sets: (n_neurons, n_sets), whether a neuron
    is in a set. row: suffix of a subspace's columns, such as "_2".
    """
    mlp_post, tokens = cache["mlp_post"], cache["mask"][:].sum(axis=1)
    n_prompts, n_layers, d_mlp = mlp_post.shape
    components = value_components(table, stage, row)
    weights = np.where(sets, components[:, None], 0).astype(np.float32)
    weights = weights.reshape(n_layers, d_mlp, sets.shape[1])
    means = np.zeros((n_prompts, sets.shape[1]))
    for layer in range(n_layers):
        means += mlp_post[:, layer].astype(np.float32) @ weights[layer]
    return PromptProjections(means * tokens[:, None], tokens)


def sum_by_set(
    mlp_post: np.ndarray, components: np.ndarray, sets: np.ndarray, order: np.ndarray, n_sets: int
) -> np.ndarray:
    """Sum a layer's projections over sets of its neurons: (n_prompts, n_sets) float64.

    mlp_post: (n_prompts, d_mlp). components: (d_mlp,), of written vectors along the unit direction.
    sets: (d_mlp,), the number of each neuron's set. order: (d_mlp,), neurons sorted by set.
    """
    # mode="clip" skips the check of every index, which takes four times as long as the rest.
    ordered = np.take(mlp_post, order, axis=1, mode="clip")
    projections = ordered * components[order].astype(np.float32)
    occupied, starts = np.unique(sets[order], return_index=True)
    sums = np.zeros((len(mlp_post), n_sets))
    sums[:, occupied] = np.add.reduceat(projections, starts, axis=1)
    return sums


def project_both(
    table: pd.DataFrame, pre: h5py.File, post: h5py.File, sets: np.ndarray, row: str = ""
) -> tuple[PromptProjections, PromptProjections]:
    """Project the prompts of both checkpoints, as `project_prompts` does."""
    return (
        project_prompts(table, pre, "pre", sets, row),
        project_prompts(table, post, "post", sets, row),
    )


def resample_drops(
    pre: PromptProjections, post: PromptProjections, resamples: int, seed: int
) -> np.ndarray:
    """Resample the drops of the sets' mean projections: (resamples, n_sets).

    A drop is before minus after. Both checkpoints get the same draws, and each prompt weighs by its
    counted tokens. Resamples without any counted token have no mean and are left out.
    """
    columns = (pre.tokens, post.tokens, pre.sums, post.sums)
    drawn = resampled_sums(np.column_stack(columns), resamples, seed)
    drawn = drawn[(drawn[:, :2] > 0).all(axis=1)]
    tokens_pre, tokens_post, *_ = np.hsplit(drawn, (1, 2))
    sums_pre, sums_post = np.hsplit(drawn[:, 2:], 2)
    drops: np.ndarray = sums_pre / tokens_pre - sums_post / tokens_post
    return drops
