"""The table of interventions: every metric of every row, with bootstrap intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dpo_neurons.evaluation.effect_shares import effect_shares
from dpo_neurons.evaluation.outcomes import Outcomes, Writing
from dpo_neurons.files.table_page import table_page
from dpo_neurons.statistics.bootstrap import mean_intervals

BEFORE, AFTER = "none", "dpo"
"""The rows of the two models as they are: the effect is what lies between them."""
COLUMNS = (
    "intervention", "checkpoint", "neurons", "toxicity", "toxicity_low", "toxicity_high",
    "perplexity", "f1", "repetition", "perplexity_low", "perplexity_high", "f1_low", "f1_high",
    "repetition_low", "repetition_high", "effect_share", "effect_share_low", "effect_share_high",
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
    checkpoints: Mapping[str, str],
    outcomes: Outcomes,
    writings: Sequence[Writing],
    bootstrap: Bootstrap,
) -> pd.DataFrame:
    """The table, a row an intervention in the order of outcomes and writings.

    checkpoints: the stage that each intervention runs on, by name. Perplexity and its bounds are
    exponentials of mean losses a token. effect_share: the part of the change in toxicity from none
    to dpo that a row reproduces, NaN where that change cannot be told from none.
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
        "f1": mean_intervals(np.column_stack([one.f1 for one in writings]), *how),
        "repetition": mean_intervals(np.column_stack([one.repetitions for one in writings]), *how),
        "effect_share": effect_shares(before, after, toxicity, *how),
    }
    table = {
        "intervention": outcomes.interventions,
        "checkpoint": [checkpoints[name] for name in outcomes.interventions],
        "neurons": [one.neurons for one in writings],
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


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The table for reading: rounded, intervals in brackets behind their means."""
    shown = table[["intervention", "checkpoint", "neurons"]].copy()
    for metric, (title, digits) in SHOWN.items():
        triples = table[[metric, f"{metric}_low", f"{metric}_high"]].to_numpy(dtype=np.float64)
        shown[title] = [with_interval(*triple, digits) for triple in triples]
    return shown


def to_markdown(shown: pd.DataFrame) -> str:
    """A readable table in Markdown."""
    rows = [shown.columns, ["---"] * shown.shape[1], *shown.astype(str).to_numpy()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def to_page(shown: pd.DataFrame, title: str) -> str:
    """A readable table as an HTML page that needs nothing else."""
    return table_page(title, shown.to_html(index=False, border=0))
