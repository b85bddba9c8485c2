"""Results of a model under an intervention: its continuations and its perplexity."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.errors import BrokenModelError, InputError
from dpo_neurons.models.batches import order_longest_first
from dpo_neurons.models.decoding import TokenObserver, generate_greedily
from dpo_neurons.models.perplexity import Perplexity
from dpo_neurons.models.sampling import Sampler
from dpo_neurons.models.tokenization import count_tokens

Row = dict[str, object]
STRENGTHS = ("factor", "scale", "alpha", "dose")
"""Columns of a plan that say how strongly it acts."""


@contextmanager
def name_broken_intervention(name: str, plan: pd.DataFrame, dtype: str) -> Iterator[None]:
    """Name the intervention, its strength and the number format if the model breaks in the block.

    plan: with its metadata. A model that a plan leaves as it is keeps its own error.
    Raises InputError in place of a BrokenModelError.
    """
    try:
        yield
    except BrokenModelError as error:
        if plan.empty:
            raise InputError(f"row {name}, in {dtype}: {error}") from error
        given = plan.iloc[0].reindex(STRENGTHS)
        strengths = given[given.map(pd.api.types.is_number) & given.notna()]
        described = [*(f"{key} {value:g}" for key, value in strengths.items()), dtype]
        remedy = f"lower its {strengths.index[0]}" if len(strengths) else "leave the row out"
        raise InputError(
            f"interventions: row {name} ({', '.join(described)}): {error.finding}, so it breaks "
            f"the model; {remedy}, or set models.….dtype to float32"
        ) from error


def continue_prompts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    n_tokens: int,
    batch_size: int,
    observer: TokenObserver | None = None,
    sampler: Sampler | None = None,
) -> list[Row]:
    """Continue prompts, greedily without a sampler; return one row per prompt, in order.

    A row has prompt, continuation and tokens, the ids before the end-of-sequence token. Prompts of
    similar length share batches.
    Raises InputError for a prompt too long for the model.
    """
    order = order_longest_first(count_tokens(tokenizer, prompts))
    ordered = [prompts[index] for index in order]
    rows: list[Row] = []
    if sampler is not None:
        sampler = replace(sampler, uniforms=sampler.uniforms[order])
    for batch in generate_greedily(
        model, tokenizer, ordered, n_tokens, batch_size, observer, sampler=sampler
    ):
        for offset, (ids, mask) in enumerate(zip(batch.tokens, batch.mask, strict=True)):
            tokens = ids[mask].tolist()
            text = tokenizer.decode(tokens, skip_special_tokens=True)
            prompt = ordered[batch.start + offset]
            rows.append({"prompt": prompt, "continuation": text, "tokens": tokens})
    return [rows[place] for place in np.argsort(order)]


def describe_perplexity(measured: Perplexity, positions: str) -> Row:
    """Return a perplexity's numbers, with the losses of its windows for intervals.

    positions: where the plan acted in each window.
    """
    return {
        "perplexity": measured.perplexity,
        "log_perplexity": measured.log_perplexity,
        "tokens": int(measured.tokens.sum()),
        "positions": positions,
        "window_losses": measured.losses.tolist(),
        "window_tokens": measured.tokens.tolist(),
    }
