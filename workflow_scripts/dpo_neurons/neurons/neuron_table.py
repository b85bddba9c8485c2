"""Tables of the neurons of a single checkpoint."""

from pathlib import Path

import numpy as np
import pandas as pd

from dpo_neurons.files.tables import read_table

NEURON_COLUMNS = ("layer", "neuron", "cosine", "norm", "activation_pre")


def describe_neurons(
    components: np.ndarray, norms: np.ndarray, mlp_post_mean: np.ndarray
) -> pd.DataFrame:
    """Return one row per neuron, by layer and neuron, with the NEURON_COLUMNS.

    All arrays are (n_layers, d_mlp). components: of the written vectors along the unit direction.
    norms: of the written vectors. mlp_post_mean: mean activations, the column activation_pre.
    cosine is that of written vector and direction; a vector of zeros has cosine 0.
    """
    n_layers, d_mlp = components.shape
    cosine = np.divide(components, norms, out=np.zeros_like(components), where=norms > 0)
    return pd.DataFrame(
        {
            "layer": np.repeat(np.arange(n_layers), d_mlp),
            "neuron": np.tile(np.arange(d_mlp), n_layers),
            "cosine": cosine.reshape(-1),
            "norm": norms.astype(np.float64).reshape(-1),
            "activation_pre": mlp_post_mean.astype(np.float64).reshape(-1),
        }
    )


def read_neurons(path: Path) -> pd.DataFrame:
    """Read a parquet table that has the NEURON_COLUMNS.

    Raises InputError if the file is missing, damaged or lacks one of them.
    """
    return read_table(path, NEURON_COLUMNS, "a table of neurons needs")
