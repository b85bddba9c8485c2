"""The table of interventions: every metric of every row, with bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dpo_neurons.evaluation.effect_shares import effect_shares
from dpo_neurons.evaluation.outcomes import Outcomes, Writing
from dpo_neurons.statistics.bootstrap import mean_intervals
from dpo_neurons.study.intervention_rows import METADATA, PARAMETERS

BEFORE, AFTER = "none", "dpo"
"""The rows of the two models as they are: the effect is what lies between them."""
COLUMNS = (
    "intervention", "kind", "control_of", "checkpoint", "neurons", "toxicity", "toxicity_low",
    "toxicity_high", "perplexity", "f1", "repetition", "perplexity_low", "perplexity_high",
    "f1_low", "f1_high", "repetition_low", "repetition_high", "effect_share", "effect_share_low",
    "effect_share_high", *PARAMETERS,
)  # fmt: skip
SHOWN = {
    "toxicity": ("toxicity", 3),
    "perplexity": ("perplexity", 2),
    "f1": ("f1", 3),
    "repetition": ("repetition", 3),
    "effect_share": ("share of dpo", 2),
}
"""How the metrics are called in the readable table, and their decimals."""


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made; the same prompts are drawn for every row of the table."""

    resamples: int
    level: float
    seed: int


def intervention_table(
    rows: pd.DataFrame,
    outcomes: Outcomes,
    writings: Sequence[Writing],
    bootstrap: Bootstrap,
) -> pd.DataFrame:
    """Tabulate a row an intervention, in the order of rows, outcomes and writings: COLUMNS.

    rows: METADATA, what the rows are. Perplexity and its bounds are
    exponentials of mean losses a token. effect_share: the part of the change in toxicity from none
    to dpo that a row reproduces, NaN where that change cannot be told from none or the row changes
    too few prompts.
    """
    how = (bootstrap.resamples, bootstrap.level, bootstrap.seed)
    tokens = outcomes.window_tokens
    token_losses = outcomes.window_losses / tokens[:, None]
    toxicity = outcomes.toxicity
    before, after = (toxicity[:, outcomes.column(name)] for name in (BEFORE, AFTER))
    losses = mean_intervals(token_losses, *how, tokens)
    metrics = {
        "toxicity": mean_intervals(toxicity, *how),
        "perplexity": tuple(map(np.exp, losses)),
        "f1": mean_intervals(np.column_stack([writing.f1 for writing in writings]), *how),
        "repetition": mean_intervals(
            np.column_stack([writing.repetitions for writing in writings]), *how
        ),
        "effect_share": effect_shares(before, after, toxicity, bootstrap.level),
    }
    for values in metrics["effect_share"]:
        if np.isfinite(values).any():
            # By definition, whatever the prompts.
            values[outcomes.column(BEFORE)], values[outcomes.column(AFTER)] = 0, 1
    table = {
        **{column: rows[column].to_numpy() for column in METADATA},
        "neurons": [writing.neurons for writing in writings],
        **{
            f"{metric}{suffix}": values
            for metric, triple in metrics.items()
            for suffix, values in zip(("", "_low", "_high"), triple, strict=True)
        },
    }
    return pd.DataFrame(table)[list(COLUMNS)]


def with_interval(value: float, low: float, high: float, digits: int) -> str:
    """A number with its interval in brackets, for reading; "undefined" where there is none."""
    if not np.isfinite(value):
        return "undefined"
    return f"{value:z.{digits}f} [{low:z.{digits}f}, {high:z.{digits}f}]"


def format_table(table: pd.DataFrame) -> pd.DataFrame:
    """The table for reading: rounded, intervals in brackets behind their means."""
    shown = table[["intervention", "checkpoint", "neurons"]].copy()
    for metric, (title, digits) in SHOWN.items():
        triples = table[[metric, f"{metric}_low", f"{metric}_high"]].to_numpy(dtype=np.float64)
        shown[title] = [with_interval(value, low, high, digits) for value, low, high in triples]
    return shown
