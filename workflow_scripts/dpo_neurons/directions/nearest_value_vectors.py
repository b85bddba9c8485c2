"""The written vectors of a model that lie closest to a direction, and what they share.

They are its value vectors, times the gain of a norm after the MLP (`models.value_vectors`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dpo_neurons.directions.subspaces import Components, leading_components
from dpo_neurons.errors import InputError
from dpo_neurons.models.value_vectors import check_width, iterate_written_vectors, lengths
from dpo_neurons.statistics.ranking import largest_indices


@dataclass(frozen=True)
class NearestValueVectors:
    """Value vectors by falling cosine with one direction.

    Layers and neurons count from 0.
    """

    layers: np.ndarray
    """(n,)"""
    neurons: np.ndarray
    """(n,)"""
    cosines: np.ndarray
    """(n,)"""
    vectors: np.ndarray
    """(n, d_model) float64, as long as they are in the model."""

    def merge(self, other: NearestValueVectors, count: int) -> NearestValueVectors:
        """Return the `count` closest of these and of others; at equal cosines, these first."""
        chosen = largest_indices(np.concatenate([self.cosines, other.cosines]), count)
        return NearestValueVectors(
            np.concatenate([self.layers, other.layers])[chosen],
            np.concatenate([self.neurons, other.neurons])[chosen],
            np.concatenate([self.cosines, other.cosines])[chosen],
            np.concatenate([self.vectors, other.vectors])[chosen],
        )

    def on_positive_side(self) -> NearestValueVectors:
        """Return the value vectors whose cosine is above zero."""
        positive = self.cosines > 0
        return NearestValueVectors(
            self.layers[positive],
            self.neurons[positive],
            self.cosines[positive],
            self.vectors[positive],
        )


def find_nearest_value_vectors(
    checkpoint: Path, directions: np.ndarray, count: int, directions_file: Path
) -> list[NearestValueVectors]:
    """Find the `count` value vectors that lie closest to each of some directions.

    The closest are those with the largest cosines. directions: unit rows, (k, d_model).
    directions_file: for the error message. Value vectors of zeros have no cosine and are left out.
    One layer is in memory at a time.
    Returns k results, one for each direction.
    Raises InputError for directions of another width than the model's residual stream and for value
    vectors that are not finite, and as iterate_written_vectors does.
    """
    nearest: list[NearestValueVectors] = []
    for layer, (values, _) in enumerate(iterate_written_vectors(checkpoint)):
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
        in_layer = [
            _nearest_in_layer(layer, values, neurons, with_direction, count)
            for with_direction in cosines.T
        ]
        if nearest:
            pairs = zip(nearest, in_layer, strict=True)
            nearest = [so_far.merge(further, count) for so_far, further in pairs]
        else:
            nearest = in_layer
    return nearest


def _nearest_in_layer(
    layer: int, values: np.ndarray, neurons: np.ndarray, cosines: np.ndarray, count: int
) -> NearestValueVectors:
    """Return the `count` closest of a layer's value vectors, (d_mlp, d_model).

    neurons, cosines: (n,), of the value vectors that are not zero.
    """
    chosen = largest_indices(cosines, count)
    return NearestValueVectors(
        np.full(len(chosen), layer), neurons[chosen], cosines[chosen], values[neurons[chosen]]
    )


def find_shared_components(
    checkpoint: Path, direction: np.ndarray, neurons: int, count: int, direction_file: Path
) -> tuple[NearestValueVectors, Components]:
    """Find the leading components of the value vectors closest to a direction.

    They are the SVD directions of Lee et al. 2024 (arXiv 2401.01967): there, of the 128 value
    vectors closest to the probe.

    direction: a unit vector, (d_model,). neurons: how many value vectors to decompose. count: how
    many components. direction_file: for the error message.
    Returns the value vectors and their components, turned to the direction's side.
    Raises InputError if there are fewer value vectors or components than asked for, and as
    `find_nearest_value_vectors` does.
    """
    if not 1 <= count <= neurons:
        raise InputError(
            f"directions.….components: {count} components of {neurons} value vectors; ask for at "
            "least 1 and at most as many as neurons"
        )
    (nearest,) = find_nearest_value_vectors(checkpoint, direction[None], neurons, direction_file)
    if len(nearest.cosines) < neurons:
        raise InputError(
            f"directions.….neurons: {neurons} value vectors are asked for, but {checkpoint} has "
            f"{len(nearest.cosines)} that are not zero; ask for fewer"
        )
    return nearest, leading_components(nearest.vectors, count, direction)
