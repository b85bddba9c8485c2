"""Changes of weights that are undone bit by bit: scaled key vectors, stripped value vectors."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from torch import Tensor


@contextmanager
def scale_keys_in_place(key_vectors: Tensor, rows: pd.DataFrame) -> Iterator[None]:
    """Multiply the key vectors, (d_mlp, d_model), of a plan's rows by their values."""
    factors = torch.tensor(rows["value"].to_numpy()).to(key_vectors)
    with _replaced(key_vectors, rows) as original:
        key_vectors[_neurons(key_vectors, rows)] = original * factors[:, None]
        yield


@contextmanager
def remove_directions_in_place(
    value_vectors: Tensor, rows: pd.DataFrame, directions: np.ndarray
) -> Iterator[None]:
    """Take from value vectors, (d_mlp, d_model), a share of what they have along directions.

    directions: orthonormal rows, (k, d_model). value: the share, 1 for all of it. Computed in
    float64, rounded once to the weights' own format.
    """
    basis = torch.tensor(directions, dtype=torch.float64, device=value_vectors.device)
    shares = torch.tensor(rows["value"].to_numpy(), device=value_vectors.device)[:, None]
    with _replaced(value_vectors, rows) as original:
        # Nothing else is kept: a generator holds its locals while the block runs.
        value_vectors[_neurons(value_vectors, rows)] = _stripped(original, basis, shares)
        yield


def _stripped(vectors: Tensor, basis: Tensor, shares: Tensor) -> Tensor:
    wide = vectors.double()
    return (wide - shares * (wide @ basis.T) @ basis).to(vectors)


@contextmanager
def _replaced(vectors: Tensor, rows: pd.DataFrame) -> Iterator[Tensor]:
    neurons = _neurons(vectors, rows)
    original = vectors[neurons]  # a copy
    with torch.no_grad():
        try:
            yield original
        finally:
            vectors[neurons] = original


def _neurons(like: Tensor, rows: pd.DataFrame) -> Tensor:
    return torch.tensor(rows["neuron"].to_numpy(), device=like.device)
