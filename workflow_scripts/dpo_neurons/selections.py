"""Choosing neurons from a table of contributions."""

from collections.abc import Sequence

import pandas as pd


def neurons_in_groups(table: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """The rows of the neurons in any of the groups."""
    return table[table["group"].isin(groups)]


def most_toxic(table: pd.DataFrame, top: int, only_positive: bool = False) -> pd.DataFrame:
    """The rows of the `top` neurons whose value vectors lie closest to the direction.

    Neurons are ranked by cosine before fine-tuning; fewer come back if the model has fewer.
    only_positive: leave out neurons whose mean activation before is not above zero, as v1, table 1.
    """
    candidates = table[table["activation_pre"] > 0] if only_positive else table
    return candidates.sort_values("cosine", ascending=False, kind="stable").head(top)
