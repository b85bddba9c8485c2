"""What random directions give: is a sum of reductions, or a group's share, of this direction?

Neurons that reduce, and groups with shares, are found along any direction. Not in the papers.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from dpo_neurons.neurons.groups import GROUPS, REDUCING, find_places
from dpo_neurons.statistics.bootstrap import interval

QUANTITIES = ("net_reduction", "positive_reduction", *(f"share_{group}" for group in REDUCING))
RANK_COLUMNS = ("value", "random", "random_low", "random_high", "random_directions", "p")
COLUMNS = ("quantity", *RANK_COLUMNS)
LAYERS_COLUMNS = ("layer", *RANK_COLUMNS)


def draw_directions(n: int, width: int, seed: int) -> np.ndarray:
    """Draw unit vectors evenly from all directions: (n, width)."""
    drawn = np.random.default_rng(seed).standard_normal((n, width))
    unit: np.ndarray = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


def sum_along(
    directions: np.ndarray,
    layers: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
    definition: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Sum reductions along unit directions, (k, d_model).

    Returns the QUANTITIES, (6, k), and the net reduction of each layer, (n_layers, k).

    layers: for each, the written vectors of both checkpoints, (d_mlp, d_model), and their mean
    activations, (d_mlp,). Reductions are those of equation 1 of Yang et al. 2024 (arXiv
    2411.06424v1). A share is of the sum over the four reducing groups. definition: of the groups.
    """
    k = len(directions)
    net_by_layer: list[np.ndarray] = []
    positive, by_group = np.zeros(k), np.zeros((len(GROUPS) + 1, k))
    for values_pre, values_post, means_pre, means_post in layers:
        along = values_pre @ directions.T
        before = np.broadcast_to(means_pre[:, None], along.shape)
        after = np.broadcast_to(means_post[:, None], along.shape)
        reduction = before * along - after * (values_post @ directions.T)
        # A cosine's sign is that of the component.
        places = find_places(along, before, after, reduction, definition)
        net_by_layer.append(reduction.sum(axis=0))
        positive += reduction.clip(min=0).sum(axis=0)
        for group in range(len(GROUPS)):
            by_group[group] += np.where(places == group, reduction, 0).sum(axis=0)
    reducing = by_group[: len(REDUCING)]
    total = reducing.sum(axis=0)
    shares = np.divide(reducing, total, out=np.zeros_like(reducing), where=total != 0)
    nets = np.array(net_by_layer)
    return np.vstack([nets.sum(axis=0), positive, shares]), nets


def compare_with_random(sums: np.ndarray, level: float) -> pd.DataFrame:
    """Compare a direction's sums with those of random ones: the RANK_COLUMNS, a row a sum.

    sums: (n, k), as `sum_along` returns them; the first column is of the direction itself. random:
    the mean of the random ones, with the interval that holds the share `level` of them. p: the
    share of all directions, this one among them, that lie at least as far from that mean.
    """
    own, others = sums[:, 0], sums[:, 1:]
    mean = others.mean(axis=1)
    low, high = interval(others.T, level)
    as_far = np.abs(others - mean[:, None]) >= np.abs(own - mean)[:, None]
    return pd.DataFrame(
        {
            "value": own,
            "random": mean,
            "random_low": low,
            "random_high": high,
            "random_directions": others.shape[1],
            "p": (1 + as_far.sum(axis=1)) / (1 + others.shape[1]),
        }
    )[list(RANK_COLUMNS)]
