"""Overlaps of the sets of neurons that interventions change, with what chance would give."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from dpo_neurons.interventions.plans import select_neuron_rows

COLUMNS = (
    "first", "second", "neurons_first", "neurons_second", "shared", "expected", "deviation",
    "jaccard",
)  # fmt: skip


def tabulate_overlaps(plans: Mapping[str, pd.DataFrame], d_mlp: int) -> pd.DataFrame:
    """Tabulate the overlap of every two different sets of neurons: the COLUMNS.

    plans: by row, in order; coordinates of heads are no neurons and do not count. A set that
    several rows change stands under the first of them. d_mlp: neurons of a layer. expected,
    deviation: mean and standard deviation of the number of shared neurons if both sets were drawn
    at random in each layer, with as many neurons in it as they have (hypergeometric). jaccard:
    shared neurons by those in either set.
    """
    sets: dict[frozenset[tuple[int, int]], str] = {}
    for name, plan in plans.items():
        chosen = select_neuron_rows(plan)
        neurons = frozenset(zip(chosen["layer"], chosen["neuron"], strict=True))
        if neurons:
            sets.setdefault(neurons, name)
    rows = []
    for (first, first_name), (second, second_name) in combinations(sets.items(), 2):
        shared = len(first & second)
        expected, deviation = expect_shared(count_by_layer(first), count_by_layer(second), d_mlp)
        sizes = len(first), len(second)
        jaccard = shared / (sum(sizes) - shared)
        rows.append((first_name, second_name, *sizes, shared, expected, deviation, jaccard))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def count_by_layer(neurons: frozenset[tuple[int, int]]) -> pd.Series:
    """Count neurons, (layer, neuron), by layer."""
    return pd.Series([layer for layer, _ in neurons]).value_counts()


def expect_shared(first: pd.Series, second: pd.Series, d_mlp: int) -> tuple[float, float]:
    """Return mean and standard deviation of the neurons that two random sets share.

    first, second: their numbers of neurons by layer.
    """
    first, second = first.align(second, fill_value=0)
    means = first * second / d_mlp
    if d_mlp == 1:
        return float(means.sum()), 0.0
    variances = means * (1 - first / d_mlp) * (d_mlp - second) / (d_mlp - 1)
    return float(means.sum()), float(np.sqrt(variances.sum()))


def format_overlaps(table: pd.DataFrame) -> pd.DataFrame:
    """Format the table for reading."""
    shown = table[["first", "second", "neurons_first", "neurons_second", "shared"]].copy()
    chance = zip(table["expected"], table["deviation"], strict=True)
    shown["by chance"] = [f"{mean:.1f} ± {deviation:.1f}" for mean, deviation in chance]
    shown["jaccard"] = table["jaccard"].map("{:.3f}".format)
    return shown
