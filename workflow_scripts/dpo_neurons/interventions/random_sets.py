"""Random sets of neurons or heads, matched to a given set: is it these, or any like them?"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

SIZES = 5
"""Classes of neurons of a layer by size of activation, with equally many neurons in each."""
NORMS = 2
"""Classes, within each of those, by norm of the value vector."""
HEAD_SIZES = 2
"""Classes of heads of a layer by length of what they give; a layer has few heads."""


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
    keys = pd.MultiIndex.from_frame(neurons[["layer", "neuron"]])
    is_chosen = keys.isin(pd.MultiIndex.from_frame(chosen[["layer", "neuron"]]))
    for drawn in _draw_in_classes(is_chosen, _classify(neurons), draws, seed):
        yield neurons[drawn]


def draw_matched_heads(
    heads: pd.DataFrame, chosen: pd.DataFrame, draws: int, seed: int
) -> Iterator[pd.DataFrame]:
    """Draw sets of attention heads that match a chosen one: rows of `heads`, a table a draw.

    The heads of each layer are divided into HEAD_SIZES classes by the length of what they give on
    average, and from each class as many are drawn as are chosen in it. A draw may include chosen
    heads.

    heads: a row a coordinate of all heads, with layer, head, neuron and activation_pre, of
    `neurons/heads`. chosen: layer and neuron of coordinates.
    """
    of_head = [heads["layer"], heads["head"]]
    lengths = (heads["activation_pre"] ** 2).groupby(of_head).sum()
    coordinates = pd.MultiIndex.from_frame(heads[["layer", "neuron"]])
    is_changed = coordinates.isin(pd.MultiIndex.from_frame(chosen[["layer", "neuron"]]))
    is_chosen = pd.Series(is_changed).groupby(of_head).any().to_numpy()
    layer = lengths.index.get_level_values("layer").to_numpy()
    classes = layer * HEAD_SIZES + _quantile_in(lengths.to_numpy(), layer, HEAD_SIZES)
    head_of_row = pd.MultiIndex.from_frame(heads[["layer", "head"]])
    for drawn in _draw_in_classes(is_chosen, classes, draws, seed):
        yield heads[head_of_row.isin(lengths.index[drawn])]


def _draw_in_classes(
    is_chosen: np.ndarray, classes: np.ndarray, draws: int, seed: int
) -> Iterator[np.ndarray]:
    """Draw as many of each class as are chosen in it: masks, (n,) bool, one a draw."""
    random = np.random.default_rng(seed)
    counts = pd.Series(is_chosen).groupby(classes).transform("sum")
    for _ in range(draws):
        # A random order within each class; the first so many of the class are drawn.
        order = pd.Series(random.random(len(classes))).groupby(classes).rank(method="first")
        yield (order <= counts).to_numpy()


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
