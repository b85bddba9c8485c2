"""Files of divergences: how far rows' predictions are from those of both unchanged models."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from dpo_neurons.errors import InputError
from dpo_neurons.files.tables import read_table

COLUMNS = ("intervention", "text", "number", "tokens", "kl_none", "kl_dpo")
"""text: "answers" or "neutral"; number: of the answer or window; kl_…: sums over its tokens."""


def read_divergences(paths: Iterable[Path], names: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Read the divergences of named rows from their entries' files: tables with the COLUMNS.

    Raises InputError if a file is damaged or a row has no divergences.
    """
    tables = [read_table(path, COLUMNS, "divergences need") for path in paths]
    by_row = dict(list(pd.concat(tables, ignore_index=True).groupby("intervention", sort=False)))
    for name in names:
        if name not in by_row:
            raise InputError(
                f"faithfulness: there are no divergences of row {name}; delete the folder and run "
                "again"
            )
    return {name: by_row[name] for name in names}
