"""Continuations that a capture of activations has generated: they need not be generated again."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.activations.cache import open_cache
from dpo_neurons.errors import InputError
from dpo_neurons.interventions.outputs import (
    Intervention,
    Row,
    continue_under_each,
    describe_continuation,
)
from dpo_neurons.models.batches import BatchSize


def read_captured_rows(
    path: Path, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], n_tokens: int
) -> list[Row]:
    """Read the rows of `continue_prompts` from an activation cache of the same prompts.

    Raises InputError if the cache is damaged, or of other prompts or numbers of tokens.
    """
    with open_cache(path, ("tokens", "mask")) as cache:
        tokens, masks = cache["tokens"][:], cache["mask"][:]
    if tokens.shape != (len(prompts), n_tokens):
        raise InputError(
            f"{path}: holds {len(tokens)} continuations of {tokens.shape[1]} tokens, but "
            f"{len(prompts)} of {n_tokens} are needed; delete it and run again"
        )
    return [
        describe_continuation(tokenizer, prompt, ids[mask].tolist())
        for prompt, ids, mask in zip(prompts, tokens, masks, strict=True)
    ]


def continue_unless_captured(
    interventions: Sequence[Intervention],
    captured: Mapping[str, list[Row]],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    n_tokens: int,
    batch_size: BatchSize,
) -> list[list[Row]]:
    """Return the rows of `continue_under_each`; those in `captured`, by name, are not generated."""
    others = [row for row in interventions if row.name not in captured]
    rows = dict(captured)
    if others:
        generated = continue_under_each(others, model, tokenizer, prompts, n_tokens, batch_size)
        rows |= {row.name: lines for row, lines in zip(others, generated, strict=True)}
    return [rows[intervention.name] for intervention in interventions]
