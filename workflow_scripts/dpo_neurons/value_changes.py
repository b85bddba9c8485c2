"""Whether changed value vectors write the shift of the residual stream (after Lee et al. 2024)."""

import numpy as np
import pandas as pd

from dpo_neurons.value_vectors import lengths

BINS = 100
"""Bins of cosines from −1 to 1."""
ACTIVE = {"negative": -1.0, "zero": 0.0, "positive": 1.0}
"""Name of the sign of a neuron's mean activation after fine-tuning."""


def compare_changes(change: np.ndarray, activation: np.ndarray, shift: np.ndarray) -> pd.DataFrame:
    """Compare a layer's changes of value vectors, (d_mlp, d_model), with a shift, (d_model,).

    activation: (d_mlp,), mean activations after fine-tuning. A changed value vector adds its
    activation × its change to the residual stream; written is that along the shift, so a change
    against the shift of a neuron with a negative activation writes along it.
    Returns a row a neuron whose value vector changed: activation (negative, zero, positive), cosine
    (of the change with the shift), written (in units of the shift's length; 0 if there is none).
    """
    sizes = lengths(change)
    changed = sizes > 0
    length = np.linalg.norm(shift)
    along = change[changed] @ shift / (length or 1.0)
    signs = np.sign(activation[changed])
    names = {sign: name for name, sign in ACTIVE.items()}
    return pd.DataFrame(
        {
            "activation": [names[sign] for sign in signs],
            "cosine": np.clip(along / sizes[changed], -1, 1),
            "written": activation[changed] * along / (length or 1.0),
        }
    )


def count_by_cosine(compared: pd.DataFrame) -> pd.DataFrame:
    """Histogram of compared changes, a row a sign of the activation and bin that is not empty.

    Returns activation, cosine_low, cosine_high, neurons, written (their sum).
    """
    edges = np.arange(-BINS, BINS + 1, 2) / BINS
    bins = np.searchsorted(edges[1:-1], compared["cosine"].to_numpy(), side="right")
    counted = (
        compared.assign(bin=bins)
        .groupby(["activation", "bin"])["written"]
        .agg(neurons="size", written="sum")
        .reset_index()
    )
    counted.insert(1, "cosine_low", edges[counted["bin"]])
    counted.insert(2, "cosine_high", edges[counted["bin"] + 1])
    return counted.drop(columns="bin")
