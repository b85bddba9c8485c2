"""Bins of values of both signs, equally wide on a linear or a symmetric log scale."""

import numpy as np


def bin_values(
    values: np.ndarray, bins: int, constant: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Find the bin of each value, (n,): the lower and the upper edges, (n,) each.

    Zero is an edge of two bins. bins: their number over the whole range of the values, zero
    included. constant: up to about which a symmetric log scale is linear; None for a linear scale.
    """
    sizes = np.abs(values) if constant is None else np.log1p(np.abs(values) / constant)
    places = np.sign(values) * sizes
    lowest, highest = places.min(initial=0.0), places.max(initial=0.0)
    width = (highest - lowest) / bins or 1.0
    numbers = np.floor(places / width).astype(int)
    # A value on the upper edge of the last bin belongs to that bin.
    numbers = np.minimum(numbers, max(int(np.ceil(highest / width)) - 1, 0))
    low, high = (
        edge * width
        if constant is None
        else np.sign(edge) * np.expm1(np.abs(edge) * width) * constant
        for edge in (numbers, numbers + 1)
    )
    return low, high
