"""All directions of a model side by side: angles, and on how many neurons their signs agree.

Yang et al. (arXiv 2411.06424v3) give the cosine of probe and embedding direction, and the share of
neurons whose sign differs over three SVD rows.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations

import numpy as np
import pandas as pd

COLUMNS = (
    "first", "first_row", "second", "second_row", "cosine", "neurons", "same_sign", "by_chance",
)  # fmt: skip
"""A row for each two rows of directions, and one for each direction of several rows.

same_sign: share of the neurons that write along both rows, or against both. by_chance: the share
that value vectors without a preferred direction would have. first_row and second_row count from 1.
Of a direction of several rows, second_row is "all", same_sign the share with one sign along all.
"""
ALL_ROWS = "all"


def count_signs(directions: Mapping[str, np.ndarray], layers: Iterable[np.ndarray]) -> np.ndarray:
    """Signs of every neuron's component along every row: (rows, n_neurons) bool, True for along.

    directions: unit rows, (k, d_model) each, stacked in order. layers: each layer's value vectors,
    (d_mlp, d_model).
    """
    rows = np.vstack(list(directions.values()))
    return np.concatenate([rows @ values.T > 0 for values in layers], axis=1)


def direction_table(directions: Mapping[str, np.ndarray], signs: np.ndarray) -> pd.DataFrame:
    """Tabulate all pairs of rows, and all rows of each direction that has several: the COLUMNS.

    directions: unit rows, (k, d_model) each. signs: of `count_signs`.
    """
    named = [(name, row) for name, rows in directions.items() for row in range(len(rows))]
    stacked = np.vstack(list(directions.values()))
    table: list[tuple[object, ...]] = []
    for i, j in combinations(range(len(named)), 2):
        cosine = float(np.clip(stacked[i] @ stacked[j], -1, 1))
        same = float((signs[i] == signs[j]).mean())
        by_chance = 1 - np.arccos(cosine) / np.pi
        first, second = ((name, str(row + 1)) for name, row in (named[i], named[j]))
        table.append((*first, *second, cosine, signs.shape[1], same, by_chance))
    for name, rows in directions.items():
        if len(rows) > 1:
            own = signs[[place for place, (of, _) in enumerate(named) if of == name]]
            same = float((own.all(axis=0) | ~own.any(axis=0)).mean())
            table.append((name, "1", name, ALL_ROWS, np.nan, signs.shape[1], same, np.nan))
    return pd.DataFrame(table, columns=list(COLUMNS))


def format_directions(table: pd.DataFrame) -> pd.DataFrame:
    """Format the table for reading: three decimals, and shares in per cent."""
    shown = pd.DataFrame()
    for end in ("first", "second"):
        shown[end] = table[end] + ", row " + table[f"{end}_row"].astype(str)
    shown["cosine"] = ["" if pd.isna(value) else f"{value:.3f}" for value in table["cosine"]]
    for column, title in (("same_sign", "neurons of one sign"), ("by_chance", "by chance")):
        shown[title] = ["" if pd.isna(value) else f"{value:.1%}" for value in table[column]]
    return shown
