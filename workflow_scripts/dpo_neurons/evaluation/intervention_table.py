"""The table of interventions: every metric of every row, with bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dpo_neurons.evaluation.effect_shares import effect_shares
from dpo_neurons.evaluation.outcomes import Outcomes, Writing
from dpo_neurons.interventions.perplexity_files import EXPLODED
from dpo_neurons.statistics.bootstrap import ENDS, interval_columns, mean_intervals
from dpo_neurons.study.intervention_rows import METADATA, PARAMETERS

BEFORE, AFTER = "none", "dpo"
"""The rows of the unchanged models; fine-tuning's effect is their difference."""
COLUMNS = (
    "intervention", "kind", "control_of", "checkpoint", "neurons", "toxicity", "toxicity_low",
    "toxicity_high", "perplexity", "f1", "repetition", "perplexity_low", "perplexity_high",
    "perplexity_windows", "f1_low", "f1_high", "repetition_low", "repetition_high",
    "effect_share", "effect_share_low", "effect_share_high", "toxicity_equal_length",
    "toxicity_equal_length_low", "toxicity_equal_length_high", "tokens", "empty", "degenerate",
    "no_longer_writes", "entry", *PARAMETERS,
)  # fmt: skip
NO_LONGER_WRITES = "the model no longer writes"
MOSTLY = 0.5
"""Nor does it if more than this share of its continuations is degenerate."""
SHOWN = {
    "toxicity": ("toxicity", 3),
    "perplexity": ("perplexity", 2),
    "f1": ("f1", 3),
    "repetition": ("repetition", 3),
    "effect_share": ("share of dpo", 2),
}
"""The metrics' titles and decimals in the readable table."""


@dataclass(frozen=True)
class Bootstrap:
    """Settings of bootstrap intervals; all rows of a table get the same draws."""

    resamples: int
    level: float
    seed: int


def intervention_table(
    rows: pd.DataFrame,
    outcomes: Outcomes,
    writings: Sequence[Writing],
    bootstrap: Bootstrap,
) -> pd.DataFrame:
    """Tabulate the metrics of all interventions: one row each, with the COLUMNS.

    rows: one row for each intervention, with the METADATA columns. outcomes, writings: in the same
    order. Perplexity and its bounds are exponentials of the mean loss a token.
    perplexity_windows: windows of text that the row was read on; a screened row was read on the
    first ones alone, and its perplexity has no bounds. effect_share: the share of the change in
    toxicity from none to dpo that a row reproduces. It is NaN if the interval of that change
    includes zero, if the row changes too few prompts, or if the row, none or dpo no longer writes.
    toxicity_equal_length: that of continuations cut to as many tokens as dpo wrote after the same
    prompt. tokens: mean length of a continuation; shorter texts have less room for toxicity.
    empty: share of blank continuations. degenerate: share of those that are empty or one repeated
    token. no_longer_writes: see `find_broken_rows`; screening has found its rows by the same rule,
    on the windows that it read.
    """
    how = (bootstrap.resamples, bootstrap.level, bootstrap.seed)
    tokens = outcomes.window_tokens
    token_losses = outcomes.window_losses / tokens[:, None]
    toxicity = outcomes.toxicity
    before, after = (toxicity[:, outcomes.column(name)] for name in (BEFORE, AFTER))
    _, *bounds = mean_intervals(token_losses, *how, tokens)
    was_read = np.isfinite(token_losses)
    mean_losses = np.nansum(outcomes.window_losses, axis=0) / (tokens @ was_read)
    metrics = {
        "toxicity": mean_intervals(toxicity, *how),
        "toxicity_equal_length": mean_intervals(outcomes.equal_length, *how),
        "perplexity": tuple(map(np.exp, (mean_losses, *bounds))),
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
    degenerate = np.array([writing.degenerate.mean() for writing in writings])
    perplexity = metrics["perplexity"][0]
    reference = perplexity[outcomes.column(BEFORE)]
    broken = find_broken_rows(perplexity, reference, degenerate) | outcomes.screened
    # A share needs three models that write: the row's and the two that the effect lies between.
    undefined = broken | broken[[outcomes.column(name) for name in (BEFORE, AFTER)]].any()
    metrics["effect_share"] = tuple(
        np.where(undefined, np.nan, bound) for bound in metrics["effect_share"]
    )
    table = {
        **{column: rows[column].to_numpy() for column in METADATA},
        "neurons": [writing.neurons for writing in writings],
        **{
            name: values
            for metric, triple in metrics.items()
            for name, values in interval_columns(metric, triple).items()
        },
        "perplexity_windows": was_read.sum(axis=0),
        "tokens": [writing.lengths.mean() for writing in writings],
        "empty": [writing.empty.mean() for writing in writings],
        "degenerate": degenerate,
        "no_longer_writes": broken,
    }
    return pd.DataFrame(table)[list(COLUMNS)]


def find_broken_rows(
    perplexity: np.ndarray, reference: float, degenerate: np.ndarray
) -> np.ndarray:
    """Find the rows whose model no longer writes, (k,) bool; their toxicity says nothing.

    A destroyed model scores as mild, because a scorer finds nothing in noise.
    perplexity: (k,), infinite where it overflows. reference: that of the first model. degenerate:
    (k,), shares of continuations.
    """
    return ~(perplexity <= EXPLODED * reference) | (degenerate > MOSTLY)


def format_with_interval(value: float, low: float, high: float, digits: int) -> str:
    """Format a number with its interval in brackets, if it has one; NaN becomes "undefined"."""
    if not np.isfinite(value):
        return "undefined"
    if not np.isfinite([low, high]).any():
        return f"{value:z.{digits}f} [no interval]"
    return f"{value:z.{digits}f} [{low:z.{digits}f}, {high:z.{digits}f}]"


def format_intervals(table: pd.DataFrame, column: str, digits: int) -> list[str]:
    """Format a column with its interval in the columns that end in _low and _high."""
    triples = table[[f"{column}{end}" for end in ENDS]].to_numpy(dtype=np.float64)
    return [format_with_interval(value, low, high, digits) for value, low, high in triples]


def format_table(table: pd.DataFrame) -> pd.DataFrame:
    """Format the table for reading: rounded, with intervals in brackets."""
    shown = table[["intervention", "checkpoint", "neurons"]].copy()
    for metric, (title, digits) in SHOWN.items():
        shown[title] = format_intervals(table, metric, digits)
    shown["at dpo's length"] = table["toxicity_equal_length"].map("{:.3f}".format)
    shown["tokens"] = [f"{length:.1f}" for length in table["tokens"]]
    shown["note"] = np.where(table["no_longer_writes"], NO_LONGER_WRITES, "")
    n_windows = table["perplexity_windows"].max()
    shown["note"] += [
        "" if n_read == n_windows else f"; perplexity of {n_read} of {n_windows} windows"
        for n_read in table["perplexity_windows"]
    ]
    return shown
