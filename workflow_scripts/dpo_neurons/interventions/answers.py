"""Predictions of a model's rows on given answers to prompts, each token read as in generation."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.interventions.divergence import (
    Divergences,
    References,
    add_divergences,
    begin_divergences,
    log_probabilities,
    sum_each_text,
    tabulate_divergences,
)
from dpo_neurons.interventions.outputs import Intervention, order_by_lowest_layer
from dpo_neurons.models.batches import limit_tokens, run_in_batches
from dpo_neurons.models.decoding import read_answers, read_beginnings
from dpo_neurons.models.shared_layers import SharedLayers
from dpo_neurons.models.tokenization import (
    choose_padding,
    count_vocabulary,
    pad_rows,
    tokenize_texts,
)


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
    counts too. A plan acts on each token as it acts on it in generation.
    Returns the COLUMNS; kl_… are sums over an answer's predictions, in nats.
    Raises InputError, with the row's name, for predictions that are no numbers.
    """
    pad = choose_padding(tokenizer, count_vocabulary(model))
    rows = [
        _Answer(prompt, list(answer), min(len(answer) + 1, n_tokens))
        for prompt, answer in zip(tokenize_texts(tokenizer, prompts), answers, strict=True)
    ]
    ordered = order_by_lowest_layer(interventions, model)
    # Otherwise prompts are read with the answers, by all rows alike.
    newest_only = all(intervention.changes_newest_only for intervention in interventions)

    def measure(batch: Sequence[_Answer]) -> Divergences:
        ids, mask = (
            part.to(model.device) for part in pad_rows([row.prompt for row in batch], pad, "left")
        )
        # One more than the answer: its place, where the end is predicted, is never read.
        written, _ = pad_rows([[*row.answer, pad][:n_tokens] for row in batch], pad, "right")
        written = written.to(model.device)
        beginnings = read_beginnings(model, ids, mask) if newest_only else None
        shared = SharedLayers(model, [lowest for _, lowest in ordered])
        expected = {}
        for name, unchanged in references.items():
            if unchanged is model:
                with shared.read_unchanged():
                    logits = read_answers(model, ids, mask, written, beginnings)
            else:
                logits = read_answers(unchanged, ids, mask, written)
            expected[name] = log_probabilities(logits)
            del logits  # others follow, and are as large
        sums: Divergences = {}
        for intervention, lowest in ordered:
            source = intervention.source
            with (
                intervention.apply_to_answers(model, written.shape[1]),
                shared.read_from(lowest),
            ):
                if source is not None:
                    source.see_answers(ids, mask, written, pad)
                logits = read_answers(model, ids, mask, written, beginnings)
            counts = [row.counted for row in batch]
            sums[intervention.name] = sum_each_text(expected, logits, counts)
            del logits
        return sums

    divergences = begin_divergences(interventions, references)
    # Three models' predictions of all their tokens are in memory at once.
    size = limit_tokens(batch_size, n_tokens, model.device)
    for _, of_batch in run_in_batches(rows, size, measure, "comparing answers"):
        add_divergences(divergences, of_batch)
    counted = [row.counted for row in rows]
    return tabulate_divergences("answers", counted, divergences, model, interventions)
