"""Sums and shares of groups whose neurons other prompts chose, with intervals that cover."""

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.neurons.cross_fitted_sums import Choose, cross_fit_layers, read_components
from dpo_neurons.neurons.groups import GROUPS, REDUCING, find_places
from dpo_neurons.statistics.bootstrap import ENDS, interval_columns, resampled_counts
from dpo_neurons.statistics.cross_fitting import (
    CrossFit,
    add_up,
    assign_folds,
    share_intervals,
    sum_intervals,
)

SIDES = (slice(0, len(REDUCING)), slice(len(REDUCING), len(GROUPS)))
"""Where the reducing and the raising groups stand among GROUPS."""


def choose_groups(table: pd.DataFrame, definition: str) -> Choose:
    """Sort neurons into their groups by activations alone; unchanged ones come last.

    table: contributions, whose written vectors and cosines hold for any prompts. definition: of the
    groups, "v1" or "v3".
    """
    cosine = table["cosine"].to_numpy()
    components = read_components(table)

    def choose(activation_pre: np.ndarray, activation_post: np.ndarray) -> np.ndarray:
        reduction = activation_pre * components["pre"] - activation_post * components["post"]
        return find_places(cosine, activation_pre, activation_post, reduction, definition)

    return choose


def cross_fit_groups(
    table: pd.DataFrame,
    pre: h5py.File,
    post: h5py.File,
    definition: str,
    resamples: int,
    level: float,
    seed: int,
    row: str = "",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sum reductions over groups whose neurons were chosen on other prompts.

    Groups are of Yang et al. 2024 (arXiv 2411.06424), the cross-fitting is not.
    Returns two tables with crossfitted_reduction and its ends, …_low and …_high. The first has one
    row per group in the order of GROUPS, and crossfitted_share with its ends: of the group's side,
    NaN unless the interval of the sum of that side lies above zero. The second has one row per
    layer and group.

    table: contributions; pre and post: the caches of both checkpoints. definition: of the groups,
    "v1" or "v3". row: suffix of a subspace's columns, such as "_2"; groups go by the first row.
    """
    folds = assign_folds(len(pre["mask"]), seed)
    counts = resampled_counts(len(folds), resamples, seed)
    choose = choose_groups(table, definition)
    layers = [
        _without_unchanged(fit)
        for _, fit in cross_fit_layers(table, pre, post, folds, choose, len(GROUPS) + 1, row)
    ]
    whole = add_up(layers)
    groups = _sum_columns(whole, counts, level)
    sign = (1, -1)  # raising groups have negative sums, and positive shares of them
    shares = [
        share_intervals(
            CrossFit(s * whole.values[:, side], s * whole.shifts[..., side]), counts, level
        )
        for s, side in zip(sign, SIDES, strict=True)
    ]
    for end, values in zip(ENDS, map(np.concatenate, zip(*shares, strict=True)), strict=True):
        groups[f"crossfitted_share{end}"] = values
    by_layer = pd.concat([_sum_columns(fit, counts, level) for fit in layers], ignore_index=True)
    by_layer.insert(0, "group", np.tile(GROUPS, len(layers)))
    by_layer.insert(0, "layer", np.repeat(np.arange(len(layers)), len(GROUPS)))
    groups.insert(0, "group", GROUPS)
    return groups, by_layer


def _without_unchanged(fit: CrossFit) -> CrossFit:
    return CrossFit(fit.values[:, : len(GROUPS)], fit.shifts[..., : len(GROUPS)])


def _sum_columns(fit: CrossFit, counts: np.ndarray, level: float) -> pd.DataFrame:
    """Cross-fitted sums with their intervals, a row a set."""
    return pd.DataFrame(
        interval_columns("crossfitted_reduction", sum_intervals(fit, counts, level))
    )
