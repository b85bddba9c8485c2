"""Directions as the mean state of some texts minus that of others."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from dpo_neurons.errors import InputError


@dataclass(frozen=True)
class MeanDifference:
    """A difference of means, and how well it tells texts apart that it was not made of."""

    vector: np.ndarray
    """(d_model,)"""
    layer: int
    auroc: float
    """Of held-out texts' states along the difference of the others; 0.5 is chance."""


def find_mean_difference(
    states: np.ndarray, labels: np.ndarray, layers: list[int], label: str
) -> MeanDifference:
    """Find the difference of mean states between texts with a label and others.

    states: (n, len(layers), d_model). labels: (n,) bool. Of several layers, the one is taken whose
    difference, made of every other text of each label, tells the rest apart best (Arditi et al.
    2024, arXiv 2406.11717, choose among candidates by a held-out score too). The vector is made of
    all texts.
    Raises InputError if a label has fewer than two texts, or both have the same mean.
    """
    places = [np.flatnonzero(labels == value) for value in (True, False)]
    if min(map(len, places)) < 2:
        raise InputError(
            f"data.labelled_comments: {len(places[0])} {label} and {len(places[1])} other comments "
            "are too few for a difference of means; give at least two of each"
        )
    made_of = np.zeros(len(labels), dtype=bool)
    for rows in places:
        made_of[rows[::2]] = True

    def measure(number: int) -> MeanDifference:
        of_layer = states[:, number]
        along = of_layer[~made_of] @ _difference(of_layer[made_of], labels[made_of])
        auroc = float(roc_auc_score(labels[~made_of], along))
        return MeanDifference(_difference(of_layer, labels), layers[number], auroc)

    best = max(map(measure, range(len(layers))), key=lambda difference: difference.auroc)
    if not best.vector.any():
        raise InputError(
            f"data.labelled_comments: the {label} comments and the others have the same mean "
            f"state after layer {best.layer}, so there is no direction; give other comments"
        )
    return best


def _difference(states: np.ndarray, labels: np.ndarray) -> np.ndarray:
    difference: np.ndarray = states[labels].mean(axis=0) - states[~labels].mean(axis=0)
    return difference
