"""How far a changed model's predictions are from those of the two unchanged checkpoints.

The measure is the Kullback-Leibler divergence KL(p ‖ q) of the changed model's next token, q, from
that of an unchanged checkpoint, p, in nats. It is read on one text for all interventions: the
answers of the second checkpoint to the challenge prompts, and neutral text. So it does not depend
on what a changed model writes.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.errors import BrokenModelError
from dpo_neurons.interventions.divergence_files import COLUMNS
from dpo_neurons.interventions.outputs import Intervention, name_broken_intervention
from dpo_neurons.models.batches import run_in_batches
from dpo_neurons.models.decoding import read_answers, read_beginnings, widen
from dpo_neurons.models.tokenization import (
    barred_tokens,
    choose_padding,
    count_vocabulary,
    pad_rows,
    tokenize_texts,
)

MOST_PROMPTS = 32
"""Prompts in a batch: both checkpoints' predictions of all its tokens are in memory at once."""

COMPARED_AT_ONCE = 64
"""Predictions that are compared at once: each step of the sum makes copies of them."""

References = Mapping[str, PreTrainedModel]
"""The unchanged checkpoints by the rows that stand for them, none and dpo."""
Sums = Mapping[str, Mapping[str, list[float]]]
"""Divergences of a batch of texts, in nats, by row and reference."""


class _Answer(NamedTuple):
    """A prompt's ids and those of its answer; the number of predictions that count."""

    prompt: list[int]
    answer: list[int]
    counted: int


def measure_on_answers(
    model: PreTrainedModel,
    references: References,
    interventions: Sequence[Intervention],
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    answers: Sequence[Sequence[int]],
    n_tokens: int,
    batch_size: int,
) -> pd.DataFrame:
    """Measure divergences where each token of given answers is predicted: a line a row and prompt.

    model: the one that interventions change; outside of their blocks it is one of the references.
    answers: ids, at most n_tokens each. Where an answer ended earlier, the prediction of its end
    counts too. Each token is read as in generation, so a plan acts where it acts there.
    Returns the COLUMNS; kl_… are sums over an answer's predictions, in nats.
    Raises InputError, with the row's name, for predictions that are no numbers.
    """
    pad = choose_padding(tokenizer, count_vocabulary(model))
    rows = [
        _Answer(prompt, list(answer), min(len(answer) + 1, n_tokens))
        for prompt, answer in zip(tokenize_texts(tokenizer, prompts), answers, strict=True)
    ]

    def measure(batch: Sequence[_Answer]) -> Sums:
        ids, mask = (
            part.to(model.device) for part in pad_rows([row.prompt for row in batch], pad, "left")
        )
        # One more than the answer: its place, where the end is predicted, is never read.
        written, _ = pad_rows([[*row.answer, pad][:n_tokens] for row in batch], pad, "right")
        written = written.to(model.device)
        counted = torch.tensor([row.counted for row in batch], device=model.device)
        beginnings = read_beginnings(model, ids, mask)
        expected = {
            name: [
                _log_shares(logits)
                for logits in read_answers(
                    unchanged, ids, mask, written,
                    beginnings=beginnings if unchanged is model else None,
                )
            ]
            for name, unchanged in references.items()
        }  # fmt: skip
        sums = {}
        for intervention in interventions:
            source = intervention.source
            totals = {name: torch.zeros(len(batch), dtype=torch.float64) for name in references}
            with intervention.apply_in_generation(model):
                if source is not None:
                    source.see_prompts(ids, mask, pad)
                shared = beginnings if intervention.changes_newest_only else None
                for step, logits in enumerate(
                    read_answers(model, ids, mask, written, source, shared)
                ):
                    changed = _log_shares(logits)
                    for name, of_reference in expected.items():
                        divergence = _divergence(of_reference[step], changed)
                        divergence = divergence.where(step < counted.to(divergence.device), 0)
                        totals[name] += divergence.double().cpu()
            sums[intervention.name] = {name: total.tolist() for name, total in totals.items()}
        return sums

    batches = run_in_batches(rows, min(batch_size, MOST_PROMPTS), measure, "comparing answers")
    tokens = [row.counted for row in rows]
    return _tabulate("answers", tokens, [sums for _, sums in batches], model, interventions)


def measure_on_text(
    model: PreTrainedModel,
    references: References,
    interventions: Sequence[Intervention],
    windows: Sequence[Tensor],
) -> pd.DataFrame:
    """Measure divergences on windows of text, ids (length,): a line a row and window.

    Each window is read at once; the last prediction, of a token beyond it, does not count.
    """
    sums = []
    for window in windows:
        ids = window[None].to(model.device)
        with torch.inference_mode():
            expected = {name: _predict(unchanged, ids) for name, unchanged in references.items()}
            of_window = {}
            for intervention in interventions:
                with intervention.apply_in_text(model):
                    if intervention.source is not None:
                        intervention.source.see_text(ids)
                    changed = _predict(model, ids)
                of_window[intervention.name] = {
                    name: [float(_divergence(of_reference.to(changed), changed).double().sum())]
                    for name, of_reference in expected.items()
                }
        sums.append(of_window)
    tokens = [len(window) - 1 for window in windows]
    return _tabulate("neutral", tokens, sums, model, interventions)


def _predict(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Return log-probabilities of each next token of one text: (length − 1, vocabulary)."""
    logits = widen(model(input_ids=ids, use_cache=False).logits[0, :-1])
    if barred := barred_tokens(model):
        logits[:, barred] = -torch.inf
    return _log_shares(logits)


def _log_shares(logits: Tensor) -> Tensor:
    return torch.log_softmax(logits, dim=-1)


def _divergence(expected: Tensor, changed: Tensor) -> Tensor:
    """KL(p ‖ q) in nats, (n,), from log-probabilities of p and q, (n, vocabulary) each."""
    parts = []
    both = (torch.split(shares, COMPARED_AT_ONCE) for shares in (expected, changed.to(expected)))
    for p, q in zip(*both, strict=True):
        # A barred token has probability 0 in both.
        terms = torch.where(p > -torch.inf, p.exp() * (p - q), 0)
        parts.append(terms.sum(dim=-1))
    return torch.cat(parts)


def _tabulate(
    text: str,
    tokens: Sequence[int],
    batches: Sequence[Sums],
    model: PreTrainedModel,
    interventions: Sequence[Intervention],
) -> pd.DataFrame:
    """Gather batches' sums into a table with the COLUMNS."""
    tables = []
    for intervention in interventions:
        table = pd.DataFrame({"text": text, "number": range(len(tokens)), "tokens": tokens})
        table.insert(0, "intervention", intervention.name)
        for name in ("none", "dpo"):
            sums = (batch[intervention.name][name] for batch in batches)
            table[f"kl_{name}"] = list(chain.from_iterable(sums))
        finite = np.isfinite(table[["kl_none", "kl_dpo"]].to_numpy()).all(axis=1)
        if not finite.all():
            with name_broken_intervention(intervention.name, intervention.plan, model):
                raise BrokenModelError(
                    f"a prediction on {text} {finite.argmin()} is NaN or infinite"
                )
        tables.append(table[list(COLUMNS)])
    return pd.concat(tables, ignore_index=True)
