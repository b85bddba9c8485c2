"""Random sets of neurons, matched to a given set: is it these neurons, or any like them?"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

SIZES = 5
"""Classes of neurons of a layer by size of activation, with equally many neurons in each."""
NORMS = 2
"""Classes, within each of those, by norm of the value vector."""


def draw_matched_sets(
    neurons: pd.DataFrame, chosen: pd.DataFrame, draws: int, seed: int
) -> Iterator[pd.DataFrame]:
    """Draw sets of neurons that match a chosen one: rows of `neurons`, a table a draw.

    The neurons of each layer are divided into classes by the size of their mean activation, and
    each class by the norm of the value vector. From each class as many are drawn as are chosen in
    it, so that layer, number, activation and norm are matched. A draw may include chosen neurons:
    if they were like any others, they would be one more draw.

    neurons: all neurons, with layer, neuron, activation_pre and norm. chosen: layer and neuron.
    """
    random = np.random.default_rng(seed)
    keys = pd.MultiIndex.from_frame(neurons[["layer", "neuron"]])
    is_chosen = keys.isin(pd.MultiIndex.from_frame(chosen[["layer", "neuron"]]))
    classes = _classify(neurons)
    for _ in range(draws):
        # A random order within each class; the first so many of the class are drawn.
        order = pd.Series(random.random(len(neurons))).groupby(classes).rank(method="first")
        counts = pd.Series(is_chosen).groupby(classes).transform("sum")
        drawn: pd.DataFrame = neurons[(order <= counts).to_numpy()]
        yield drawn


def _classify(neurons: pd.DataFrame) -> np.ndarray:
    """Number the class of each neuron: (n_neurons,)."""
    layer = neurons["layer"].to_numpy()
    size = layer * SIZES + _quantile_in(neurons["activation_pre"].abs().to_numpy(), layer, SIZES)
    classes: np.ndarray = size * NORMS + _quantile_in(neurons["norm"].to_numpy(), size, NORMS)
    return classes


def _quantile_in(values: np.ndarray, classes: np.ndarray, parts: int) -> np.ndarray:
    """Number the part, of equally large ones, that each value lies in within its class."""
    grouped = pd.Series(values).groupby(classes)
    place = grouped.rank(method="first") - 1
    parts_of: np.ndarray = (place * parts // grouped.transform("size")).to_numpy().astype(np.int64)
    return parts_of
