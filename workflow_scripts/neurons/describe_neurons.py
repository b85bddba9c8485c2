"""Describe a model's neurons by what needs no second checkpoint: cosine and mean activation."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from dpo_neurons.activations.cache import open_cache
from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.files.tables import write_table
from dpo_neurons.models.value_vectors import project_values
from dpo_neurons.running.program import log, run_program


def described(along: np.ndarray, norms: np.ndarray, activations: np.ndarray) -> pd.DataFrame:
    """A row a neuron: layer, neuron, cosine with the direction, activation_pre.

    All arrays are (n_layers, d_mlp): components of value vectors along the direction, their norms,
    mean activations. A value vector of zeros has cosine 0.
    """
    n_layers, d_mlp = along.shape
    cosine = np.divide(along, norms, out=np.zeros_like(along), where=norms > 0)
    return pd.DataFrame(
        {
            "layer": np.repeat(np.arange(n_layers), d_mlp),
            "neuron": np.tile(np.arange(d_mlp), n_layers),
            "cosine": cosine.reshape(-1),
            "activation_pre": activations.astype(np.float64).reshape(-1),
        }
    )


def main() -> None:
    """Parse, describe, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--activations", type=Path, required=True, help="HDF5")
    parser.add_argument("--direction", type=Path, required=True, help="its first row counts")
    parser.add_argument("--output", type=Path, required=True, help="parquet")
    arguments = parser.parse_args()

    direction = read_direction(arguments.direction)[0]
    along, norms, _ = project_values(arguments.checkpoint, direction, arguments.direction)
    with open_cache(arguments.activations) as cache:
        table = described(along, norms, cache["mlp_post_mean"][:])
    write_table(arguments.output, table)
    log.info("%d neurons", len(table))


if __name__ == "__main__":
    run_program(main)
