"""Reading tables with a row a neuron."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from dpo_neurons.errors import InputError


def read_neuron_table(path: Path, columns: Sequence[str], needing: str) -> pd.DataFrame:
    """Read a parquet table that has these columns; `needing` begins the sentence if it lacks one.

    Raises InputError if the file cannot be read or lacks a column.
    """
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as parquet ({error}); delete it and run again"
        ) from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(f"{path}: {needing} the column {missing[0]!r}")
    return table
