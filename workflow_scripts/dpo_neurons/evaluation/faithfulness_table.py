"""The table of faithfulness: whether a row does what fine-tuning did, not only lowers a score."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dpo_neurons.errors import InputError
from dpo_neurons.evaluation.intervention_table import (
    AFTER,
    BEFORE,
    Bootstrap,
    format_intervals,
)
from dpo_neurons.evaluation.text_metrics import unigram_f1
from dpo_neurons.statistics.bootstrap import ENDS, interval_columns, mean_intervals

MEASURES = {
    "kl_dpo": ("KL to dpo", 4),
    "kl_none": ("KL to none", 4),
    "nearer": ("nearer to dpo by", 4),
    "nearer_than_control": ("nearer than control by", 4),
    "neutral_kl_dpo": ("KL to dpo, neutral", 4),
    "neutral_kl_none": ("KL to none, neutral", 4),
    "same_way": ("same way", 2),
    "dpo_text": ("dpo's text", 2),
}
"""The measures, with their titles and decimals in the readable table."""
COLUMNS = (
    "intervention",
    *(f"{measure}{end}" for measure in MEASURES for end in ENDS),
)


def faithfulness_table(
    divergences: Mapping[str, pd.DataFrame],
    controls: Mapping[str, str],
    toxicity: pd.DataFrame,
    texts: Mapping[str, Sequence[str]],
    bootstrap: Bootstrap,
) -> pd.DataFrame:
    """Tabulate how far each row is from both unchanged models: the COLUMNS.

    divergences: of `interventions.faithfulness`, by row. controls: of rows that have one.
    toxicity: (n_prompts), a column a row. texts: the rows' continuations of the same prompts.

    kl_dpo, kl_none: divergence from the fine-tuned and from the first model where fine-tuning's
    answers are predicted, in nats a token; neutral_…: on the perplexity text. nearer: by how much
    kl_dpo is less than that of the first model, positive where the row comes nearer to dpo.
    nearer_than_control: by how much it is less than the control's; NaN without a control.
    same_way: of the prompts whose toxicity fine-tuning changes, the share that the row changes in
    the same direction. dpo_text: F1 of a continuation's words against those of fine-tuning's, 1
    where both are the same text.
    Raises InputError if rows were compared on different texts.
    """
    names = list(divergences)
    how = (bootstrap.resamples, bootstrap.level, bootstrap.seed)
    values: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    for text, prefix in (("answers", ""), ("neutral", "neutral_")):
        tokens, kl_none = _gather(divergences, text, "kl_none")
        _, kl_dpo = _gather(divergences, text, "kl_dpo")
        values[f"{prefix}kl_dpo"] = mean_intervals(kl_dpo, *how, tokens)
        values[f"{prefix}kl_none"] = mean_intervals(kl_none, *how, tokens)
        if text == "answers":
            nearer = kl_dpo[:, [names.index(BEFORE)]] - kl_dpo
            values["nearer"] = mean_intervals(nearer, *how, tokens)
            of_control = [names.index(controls.get(name, name)) for name in names]
            nearer = kl_dpo[:, of_control] - kl_dpo
            nearer[:, [name not in controls for name in names]] = np.nan
            values["nearer_than_control"] = mean_intervals(nearer, *how, tokens)
    changes = toxicity[names].to_numpy() - toxicity[[BEFORE]].to_numpy()
    intended = np.sign(changes[:, names.index(AFTER)])
    agrees = np.sign(changes) == intended[:, None]
    undefined = np.full(len(names), np.nan)
    values["same_way"] = (undefined, undefined, undefined)
    if intended.any():
        values["same_way"] = mean_intervals(agrees, *how, np.abs(intended))
    overlap = [
        [_overlap(text, of_dpo) for text, of_dpo in zip(texts[name], texts[AFTER], strict=True)]
        for name in names
    ]
    values["dpo_text"] = mean_intervals(np.array(overlap).T, *how)
    table: dict[str, object] = {"intervention": names}
    for measure, triple in values.items():
        table |= interval_columns(measure, triple)
    return pd.DataFrame(table)[list(COLUMNS)]


def _gather(
    divergences: Mapping[str, pd.DataFrame], text: str, column: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the tokens of each text, (n,), and divergences a token, (n, rows)."""
    first = next(iter(divergences))
    tokens, columns = None, []
    for name, table in divergences.items():
        rows = table[table["text"] == text].sort_values("number")
        if tokens is None:
            tokens = rows["tokens"].to_numpy(dtype=np.float64)
        if not np.array_equal(tokens, rows["tokens"]):
            raise InputError(
                f"row {name}: its divergences were measured on other texts than those of {first}; "
                "delete both rows' files in faithfulness/ and run again"
            )
        columns.append(rows[column].to_numpy(dtype=np.float64) / tokens)
    assert tokens is not None
    return tokens, np.column_stack(columns)


def _overlap(text: str, other: str) -> float:
    return 1.0 if text == other else unigram_f1(text, other)


def format_faithfulness(table: pd.DataFrame) -> pd.DataFrame:
    """Format the table for reading: rounded, with intervals in brackets."""
    shown = table[["intervention"]].copy()
    for measure, (title, digits) in MEASURES.items():
        shown[title] = format_intervals(table, measure, digits)
    return shown
