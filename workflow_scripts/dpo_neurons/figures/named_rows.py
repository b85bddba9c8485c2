"""Rows of a table named on the command line with what they vary, as name=value,value."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dpo_neurons.errors import InputError


def named_rows(texts: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Read texts such as "edit_x=assign,probe,0.02,0.5": intervention, then the columns, as text.

    Raises InputError for a text with another number of values.
    """
    rows = []
    for text in texts:
        name, _, values = text.partition("=")
        found = values.split(",")
        if len(found) != len(columns):
            raise InputError(f"--rows {text}: must be name={','.join(columns)}")
        rows.append([name, *found])
    return pd.DataFrame(rows, columns=["intervention", *columns])


def as_numbers(rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The rows with some of their columns as numbers.

    Raises InputError for what is no finite number.
    """
    numbers = rows[list(columns)].apply(pd.to_numeric, errors="coerce").astype(float)
    bad = ~np.isfinite(numbers).all(axis=1)
    if bad.any():
        name = rows.loc[bad, "intervention"].iloc[0]
        raise InputError(f"--rows {name}: {' and '.join(columns)} must be numbers")
    return rows.assign(**{column: numbers[column] for column in columns})


def measured_rows(rows: pd.DataFrame, table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Join the rows with what a table, read from a path, measured of them, in the rows' order.

    Raises InputError for a row that the table has not.
    """
    unknown = rows.loc[~rows["intervention"].isin(table["intervention"]), "intervention"]
    if len(unknown):
        raise InputError(f"{path}: has no row {unknown.iloc[0]!r}; delete it and run again")
    return rows.merge(table, on="intervention", how="left")
