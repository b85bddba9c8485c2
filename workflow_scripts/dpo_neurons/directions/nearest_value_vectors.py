"""The value vectors of a model that lie closest to a direction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dpo_neurons.errors import InputError
from dpo_neurons.models.value_vectors import check_width, iterate_value_vectors, lengths
from dpo_neurons.statistics.ranking import largest


@dataclass(frozen=True)
class NearestValueVectors:
    """Value vectors by falling cosine with one direction; layers and neurons count from 0."""

    layers: np.ndarray
    """(n,)"""
    neurons: np.ndarray
    """(n,)"""
    cosines: np.ndarray
    """(n,)"""
    vectors: np.ndarray
    """(n, d_model) float64, as long as they are in the model."""

    def best(self, other: NearestValueVectors, count: int) -> NearestValueVectors:
        """The `count` closest of these and others; of equals, these come first."""
        chosen = largest(np.concatenate([self.cosines, other.cosines]), count)
        return NearestValueVectors(
            np.concatenate([self.layers, other.layers])[chosen],
            np.concatenate([self.neurons, other.neurons])[chosen],
            np.concatenate([self.cosines, other.cosines])[chosen],
            np.concatenate([self.vectors, other.vectors])[chosen],
        )


def find_nearest_value_vectors(
    checkpoint: Path, directions: np.ndarray, count: int, directions_file: Path
) -> list[NearestValueVectors]:
    """Find the value vectors with the largest cosines with each direction, unit rows (k, d_model).

    A layer is in memory at a time, and of it only the `count` closest are kept for each direction.
    Neurons whose value vector is zero have no cosine and are left out.
    Raises InputError for directions of another width than the model's residual stream, for value
    vectors that are not finite, and whatever iterate_value_vectors raises.
    """
    found: list[NearestValueVectors] = []
    for layer, (values, _) in enumerate(iterate_value_vectors(checkpoint)):
        check_width(directions, values.shape[1], directions_file, checkpoint)
        norms = lengths(values)
        if not np.isfinite(norms).all():
            raise InputError(
                f"{checkpoint}: the value vector of layer {layer}, neuron "
                f"{np.flatnonzero(~np.isfinite(norms))[0]} holds NaN or infinite numbers; fetch "
                "or make the checkpoint again"
            )
        neurons = np.flatnonzero(norms)
        cosines = (values @ directions.T)[neurons] / norms[neurons, None]
        here = [_closest_of_layer(layer, values, neurons, of_one, count) for of_one in cosines.T]
        if found:
            here = [one.best(more, count) for one, more in zip(found, here, strict=True)]
        found = here
    return found


def _closest_of_layer(
    layer: int, values: np.ndarray, neurons: np.ndarray, cosines: np.ndarray, count: int
) -> NearestValueVectors:
    chosen = largest(cosines, count)
    return NearestValueVectors(
        np.full(len(chosen), layer), neurons[chosen], cosines[chosen], values[neurons[chosen]]
    )
