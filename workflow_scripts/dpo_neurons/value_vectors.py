"""Reading value vectors straight from a checkpoint's files: no model is built, no GPU needed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dpo_neurons.checkpoint_config import family_of_checkpoint
from dpo_neurons.directions import check_width
from dpo_neurons.errors import InputError
from dpo_neurons.stored_weights import StoredWeights


def layers_of_values(checkpoint: Path) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Yield each layer's value vectors, (d_mlp, d_model) float64, and its bias, (d_model,) or None.

    Raises InputError for a model of no known family, weights that are no floating-point numbers
    (quantised codes are no value vectors), or files that are missing or damaged.
    """
    family = family_of_checkpoint(checkpoint)
    stored = StoredWeights(checkpoint)
    layer = 0
    while weight_name := stored.stored_name(f"{family.down_projection_of(layer)}.weight"):
        weight = stored.read(weight_name)
        bias_name = stored.stored_name(f"{family.down_projection_of(layer)}.bias")
        bias = stored.read(bias_name) if bias_name else None
        yield (weight if family.neurons_in_rows else weight.T), bias
        layer += 1
    if layer == 0:
        raise InputError(
            f"{checkpoint}: no down projection named like {family.down_projection_of(0)}.weight; "
            "is the checkpoint complete?"
        )


def lengths(vectors: np.ndarray) -> np.ndarray:
    """Norms of vectors, (n, d_model), with no copy of them, unlike numpy's own: (n,)."""
    return np.sqrt(np.einsum("nd,nd->n", vectors, vectors))


def project_values(
    checkpoint: Path, directions: np.ndarray, directions_file: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Project a checkpoint's value vectors on unit directions, (k, d_model), read from a file.

    Returns components along them, (k, n_layers, d_mlp); norms of the value vectors, (n_layers,
    d_mlp); components of the down projections' biases, (k, n_layers), zero where there are none. Of
    one direction, (d_model,), the components are without their first axis.
    Raises InputError if directions have another width than the model's residual stream.
    """
    rows = np.atleast_2d(directions)
    along, norms, biases = [], [], []
    for values, bias in layers_of_values(checkpoint):
        check_width(rows, values.shape[1], directions_file, checkpoint)
        along.append([values @ row for row in rows])
        norms.append(lengths(values))
        biases.append([0.0 if bias is None else float(bias @ row) for row in rows])
    components, offsets = np.stack(along, axis=1), np.array(biases).T
    if directions.ndim == 1:
        components, offsets = components[0], offsets[0]
    return components, np.stack(norms), offsets
