"""Reading value vectors straight from a checkpoint's files: no model is built, no GPU needed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dpo_neurons.checkpoint_config import family_of_checkpoint
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


def project_values(
    checkpoint: Path, direction: np.ndarray, direction_file: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Project a checkpoint's value vectors on a unit direction, (d_model,), read from a file.

    Returns components along it, (n_layers, d_mlp); norms of the value vectors, (n_layers, d_mlp);
    components of the down projections' biases, (n_layers,), zero where there are none.
    Raises InputError if the direction has another width than the model's residual stream.
    """
    along, norms, biases = [], [], []
    for values, bias in layers_of_values(checkpoint):
        if values.shape[1] != len(direction):
            raise InputError(
                f"{direction_file}: the direction is {len(direction)} wide, but the residual "
                f"stream of {checkpoint} is {values.shape[1]} wide; set directions.…: {{kind: "
                "file, path: …} to one made for this model"
            )
        along.append(values @ direction)
        norms.append(np.linalg.norm(values, axis=1))
        biases.append(0.0 if bias is None else float(bias @ direction))
    return np.stack(along), np.stack(norms), np.array(biases)
