"""The table of heads: what each gives to the output projection, and its part of the shift."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.errors import InputError
from dpo_neurons.files.tables import read_table

COLUMNS = ("layer", "head", "neuron", "activation_pre", "activation_post", "reduction")
"""Columns that say of each coordinate of `attn_z` what contributions say of a neuron.

neuron is the number of the coordinate in its layer, all heads one after another, and reduction that
of its whole head.
"""


def describe_heads(pre: h5py.File, post: h5py.File, parts: pd.DataFrame) -> pd.DataFrame:
    """Return one row per coordinate of `attn_z`, by layer and coordinate.

    pre, post: caches of both checkpoints. parts: of `split_shift`, on each model's own text.
    Raises InputError if the caches are not of one architecture.
    """
    before, after = (cache["attn_z_mean"][:].astype(np.float64) for cache in (pre, post))
    if before.shape != after.shape:
        raise InputError(
            f"{pre.filename}, {post.filename}: heads of shapes {before.shape} and {after.shape}; "
            "capture both again"
        )
    n_layers, d_attn = before.shape
    of_heads = parts[parts["part"] == "head"].sort_values(["layer", "head"])
    reductions = of_heads["reduction"].to_numpy().reshape(n_layers, -1)
    d_head = d_attn // reductions.shape[1]
    return pd.DataFrame(
        {
            "layer": np.repeat(np.arange(n_layers), d_attn),
            "head": np.tile(np.arange(d_attn) // d_head, n_layers),
            "neuron": np.tile(np.arange(d_attn), n_layers),
            "activation_pre": before.ravel(),
            "activation_post": after.ravel(),
            "reduction": np.repeat(reductions, d_head, axis=1).ravel(),
        }
    )


def read_heads(path: Path) -> pd.DataFrame:
    """Read a parquet table of heads, with its COLUMNS.

    Raises InputError if the file is missing, damaged or lacks one of them.
    """
    return read_table(path, COLUMNS, "a table of heads needs")
