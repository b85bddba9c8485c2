"""Files of divergences: how far a row's predictions are from those of both unchanged models."""

from pathlib import Path

import pandas as pd

from dpo_neurons.files.tables import read_table

COLUMNS = ("text", "number", "tokens", "kl_none", "kl_dpo")
"""text: "answers" or "neutral"; number: of the answer or window; kl_…: sums over its tokens."""


def read_divergences(path: Path) -> pd.DataFrame:
    """Read a row's divergences, with the COLUMNS. Raises InputError if the file is damaged."""
    return read_table(path, COLUMNS, "divergences need")
