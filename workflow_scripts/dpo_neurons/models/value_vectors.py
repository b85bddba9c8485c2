"""What neurons write, read straight from a checkpoint's files: no model is built, no GPU needed.

A neuron writes its activation times its value vector v. Where a norm stands between the MLP and the
residual stream (Gemma 2 and 3, OLMo 2), the stream gets gain ⊙ v instead, divided by the size of
the whole MLP output. That size is one positive number for all neurons of a layer at a token. The
written vector gain ⊙ v therefore has the right direction and signs; its length is in units of it.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import Architecture
from dpo_neurons.models.checkpoint_folder import read_architecture
from dpo_neurons.models.weight_reader import StoredWeights


def iterate_written_vectors(checkpoint: Path) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Yield each layer's written vectors, (d_mlp, d_model) float64, and bias, (d_model,) or None.

    They are the value vectors and the down projection's bias, times the gain of a norm after the
    MLP where there is one.
    Raises InputError for a model of no known architecture, weights that are no floating-point
    numbers (quantised codes are no value vectors), or files that are missing or damaged.
    """
    architecture = read_architecture(checkpoint)
    stored = StoredWeights(checkpoint)
    layer = 0
    while weight_name := stored.stored_name(f"{architecture.down_projection_of(layer)}.weight"):
        weight = stored.read(weight_name)
        bias_name = stored.stored_name(f"{architecture.down_projection_of(layer)}.bias")
        bias = stored.read(bias_name) if bias_name else None
        values = weight if architecture.neurons_in_rows else weight.T
        gain = read_gain(stored, architecture, architecture.norm_after_mlp_of(layer))
        if gain is None:
            yield values, bias
        else:
            yield values * gain, None if bias is None else bias * gain
        layer += 1
    if layer == 0:
        raise InputError(
            f"{checkpoint}: no down projection named like "
            f"{architecture.down_projection_of(0)}.weight; is the checkpoint complete?"
        )


def read_gain(
    stored: StoredWeights, architecture: Architecture, norm: str | None
) -> np.ndarray | None:
    """Read what a norm multiplies each coordinate with, (d_model,) float64; None without a norm.

    norm: path from the causal language model to the norm.
    """
    name = norm and stored.stored_name(f"{norm}.weight")
    return stored.read(name) + architecture.norm_offset if name else None


def read_gains_after_mlp(checkpoint: Path, n_layers: int) -> np.ndarray | None:
    """Read the gains of all norms after the MLP, (n_layers, d_model); None without such norms."""
    architecture, stored = read_architecture(checkpoint), StoredWeights(checkpoint)
    gains = [
        read_gain(stored, architecture, architecture.norm_after_mlp_of(layer))
        for layer in range(n_layers)
    ]
    present = [gain for gain in gains if gain is not None]
    return np.stack(present) if present else None


def lengths(vectors: np.ndarray) -> np.ndarray:
    """Compute norms of vectors, (n, d_model), without copying them as numpy does: (n,)."""
    norms: np.ndarray = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    return norms


def project_written_vectors(
    checkpoint: Path, directions: np.ndarray, directions_file: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Project a checkpoint's written vectors on unit directions, (k, d_model), read from a file.

    Returns components along them, (k, n_layers, d_mlp); norms of the written vectors, (n_layers,
    d_mlp); components of the down projections' biases, (k, n_layers), zero where there are none. Of
    one direction, (d_model,), the components are without their first axis.
    Raises InputError if directions have another width than the model's residual stream.
    """
    rows = np.atleast_2d(directions)
    along, norms, biases = [], [], []
    for values, bias in iterate_written_vectors(checkpoint):
        check_width(rows, values.shape[1], directions_file, checkpoint)
        along.append([values @ row for row in rows])
        norms.append(lengths(values))
        biases.append([0.0 if bias is None else float(bias @ row) for row in rows])
    components, offsets = np.stack(along, axis=1), np.array(biases).T
    if directions.ndim == 1:
        components, offsets = components[0], offsets[0]
    return components, np.stack(norms), offsets


def check_width(directions: np.ndarray, width: int, directions_file: Path, model: Path) -> None:
    """Raise InputError unless directions, (k, d_model), are as wide as a model's value vectors."""
    if directions.shape[1] != width:
        raise InputError(
            f"{directions_file}: the direction is {directions.shape[1]} wide, but the residual "
            f"stream of {model} is {width} wide; set directions.… to one made for this model"
        )
