"""What the heads of attention write along a direction, read straight from a checkpoint's files.

The output projection is linear: what head h writes is its part of the projection's input z times
its part of the weight W. Its component along a unit direction u is z_h · (W_h u).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dpo_neurons.errors import InputError
from dpo_neurons.models.checkpoint_folder import count_heads, count_layers, read_architecture
from dpo_neurons.models.value_vectors import read_gain
from dpo_neurons.models.weight_reader import StoredWeights


@dataclass(frozen=True)
class HeadOutputs:
    """How a checkpoint's heads write along a unit direction."""

    components: np.ndarray
    """(n_layers, n_heads, d_head) float64: what each coordinate of z adds along the direction."""
    biases: np.ndarray
    """(n_layers,) float64: components of the output projections' biases, zero without them."""


def read_head_outputs(checkpoint: Path, direction: np.ndarray) -> HeadOutputs:
    """Read how heads write along a unit direction, (d_model,).

    With a norm after attention, they write through its gain; z then includes the number that the
    norm multiplies each token with.
    Raises InputError for a model of no known architecture, or files that are missing or damaged.
    """
    architecture, stored = read_architecture(checkpoint), StoredWeights(checkpoint)
    n_heads = count_heads(checkpoint)
    components, biases = [], []
    for layer in range(count_layers(checkpoint)):
        projection = architecture.output_projection_of(layer)
        name = stored.stored_name(f"{projection}.weight")
        if name is None:
            raise InputError(
                f"{checkpoint}: no output projection of attention named {projection}.weight; fetch "
                "or make the checkpoint again"
            )
        weight = stored.read(name)
        gain = read_gain(stored, architecture, architecture.norm_after_attention_of(layer))
        along = direction if gain is None else gain * direction
        matrix = weight if architecture.neurons_in_rows else weight.T
        components.append((matrix @ along).reshape(n_heads, -1))
        bias = stored.stored_name(f"{projection}.bias")
        biases.append(float(stored.read(bias) @ along) if bias else 0.0)
    return HeadOutputs(np.stack(components), np.array(biases))
