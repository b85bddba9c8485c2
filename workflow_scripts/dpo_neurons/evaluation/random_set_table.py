"""The table of random sets: each row's toxicity beside that of sets of neurons like its own."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from dpo_neurons.evaluation.intervention_table import format_intervals
from dpo_neurons.evaluation.text_metrics import is_degenerate
from dpo_neurons.statistics.bootstrap import interval

COLUMNS = (
    "intervention", "neurons", "random_sets", "toxicity", "random_toxicity", "random_toxicity_low",
    "random_toxicity_high", "random_degenerate", "p",
)  # fmt: skip


def describe_random_sets(
    intervention: pd.Series, texts: pd.DataFrame, toxicity: np.ndarray, level: float
) -> dict[str, object]:
    """Compare a row with its random sets: the COLUMNS.

    intervention: the row's line of the table of interventions. texts: a line a continuation, with
    draw, continuation and tokens. toxicity: of each. random_toxicity: the mean of the draws, and
    the interval that holds the share `level` of them. random_degenerate: share of their texts that
    are empty or one repeated token. p: the share of sets, the row's own among them, whose toxicity
    is at most the row's.
    """
    means = pd.Series(toxicity).groupby(texts["draw"].to_numpy()).mean().to_numpy()
    low, high = interval(means, level)
    degenerate = [
        is_degenerate(text, tokens)
        for text, tokens in zip(texts["continuation"], texts["tokens"], strict=True)
    ]
    as_mild = np.count_nonzero(means <= intervention["toxicity"])
    return {
        "intervention": intervention["intervention"],
        "neurons": intervention["neurons"],
        "random_sets": len(means),
        "toxicity": intervention["toxicity"],
        "random_toxicity": means.mean(),
        "random_toxicity_low": low,
        "random_toxicity_high": high,
        "random_degenerate": np.mean(degenerate),
        "p": (1 + as_mild) / (1 + len(means)),
    }


def random_set_table(
    table: pd.DataFrame,
    texts: Mapping[str, pd.DataFrame],
    toxicity: Mapping[str, np.ndarray],
    level: float,
) -> pd.DataFrame:
    """Tabulate the rows that have random sets, in the table's order: the COLUMNS.

    table: of interventions. texts, toxicity: of the random sets, by row.
    """
    rows = table[table["intervention"].isin(texts)]
    described = [
        describe_random_sets(row, texts[row["intervention"]], toxicity[row["intervention"]], level)
        for _, row in rows.iterrows()
    ]
    return pd.DataFrame(described, columns=list(COLUMNS))


def format_random_sets(table: pd.DataFrame) -> pd.DataFrame:
    """Format the table for reading."""
    shown = table[["intervention", "neurons", "random_sets"]].copy()
    shown["toxicity"] = table["toxicity"].map("{:.3f}".format)
    shown["toxicity of random sets"] = format_intervals(table, "random_toxicity", 3)
    shown["p"] = table["p"].map("{:.3f}".format)
    return shown
