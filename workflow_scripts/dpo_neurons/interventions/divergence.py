"""How far a changed model's predictions are from those of the two unchanged checkpoints.

The measure is the Kullback-Leibler divergence KL(p ‖ q) of the changed model's next token, q, from
that of an unchanged checkpoint, p, in nats. It is read on one text for all interventions: the
answers of the second checkpoint to the challenge prompts, and neutral text. So it does not depend
on what a changed model writes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel

from dpo_neurons.errors import BrokenModelError
from dpo_neurons.interventions.divergence_files import COLUMNS
from dpo_neurons.interventions.outputs import Intervention, name_broken_intervention
from dpo_neurons.models.decoding import widen

COMPARED_AT_ONCE = 64
"""Predictions that are compared at once: each step of the sum makes copies of them."""

References = Mapping[str, PreTrainedModel]
"""The unchanged checkpoints by the rows that stand for them, none and dpo."""
Divergences = dict[str, dict[str, list[float]]]
"""Sums over the predictions of each text, in nats, by row and reference."""


def log_probabilities(logits: Tensor) -> Tensor:
    """Return the log-probabilities of logits, (…, vocabulary), in float32 or wider."""
    return torch.log_softmax(widen(logits), dim=-1)


def sum_each_text(
    expected: Mapping[str, Tensor], logits: Tensor, counts: Sequence[int]
) -> dict[str, list[float]]:
    """Sum KL(p ‖ q) over the first predictions of each text, in nats, by reference.

    expected: log-probabilities of the references, log p. logits: of the changed model. All are
    (n_texts, n, vocabulary). counts: how many predictions of each text count.
    """
    totals = {name: logits.new_zeros(len(counts), dtype=torch.float64) for name in expected}
    for text, count in enumerate(counts) if expected else ():
        for start in range(0, count, COMPARED_AT_ONCE):
            compared = slice(start, min(count, start + COMPARED_AT_ONCE))
            q = log_probabilities(logits[text, compared])
            for name, of_reference in expected.items():
                p = of_reference[text, compared].to(q)
                # A barred token has probability 0 in both.
                terms = torch.where(p > -torch.inf, p.exp() * (p - q), 0)
                totals[name][text] += terms.sum(dim=-1).double().sum()
    return {name: total.tolist() for name, total in totals.items()}


def begin_divergences(interventions: Sequence[Intervention], references: References) -> Divergences:
    """Return the divergences of rows on no text yet."""
    return {row.name: {name: [] for name in references} for row in interventions}


def add_divergences(divergences: Divergences, of_batch: Divergences) -> None:
    """Append the divergences of a batch of texts to those of earlier ones."""
    for row, by_reference in of_batch.items():
        for name, sums in by_reference.items():
            divergences[row][name] += sums


def tabulate_divergences(
    text: str,
    tokens: Sequence[int],
    sums: Divergences,
    model: PreTrainedModel,
    interventions: Sequence[Intervention],
) -> pd.DataFrame:
    """Tabulate the divergences of each row on each text: the COLUMNS, a line a row and text.

    text: "answers" or "neutral". tokens: predictions of each text that count.
    Raises InputError, with the row's name, for predictions that are no numbers.
    """
    tables = []
    for intervention in interventions:
        table = pd.DataFrame({"text": text, "number": range(len(tokens)), "tokens": tokens})
        table.insert(0, "intervention", intervention.name)
        for name in ("none", "dpo"):
            table[f"kl_{name}"] = sums[intervention.name][name]
        finite = np.isfinite(table[["kl_none", "kl_dpo"]].to_numpy()).all(axis=1)
        if not finite.all():
            with name_broken_intervention(intervention.name, intervention.plan, model):
                raise BrokenModelError(
                    f"a prediction on {text} {finite.argmin()} is NaN or infinite"
                )
        tables.append(table[list(COLUMNS)])
    return pd.concat(tables, ignore_index=True)
