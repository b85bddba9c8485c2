"""Directions in which a model's states of rejected and preferred answers differ."""

from collections.abc import Sequence
from itertools import takewhile
from typing import Literal

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.directions.subspaces import Components, leading_components
from dpo_neurons.directions.text_states import read_resid_post
from dpo_neurons.errors import InputError
from dpo_neurons.models.tokenization import tokenize_texts

Pair = tuple[str, str, str]
"""A prompt, and the preferred and the rejected answer as they follow it."""


def read_pair_differences(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[Pair],
    batch_size: int,
    layer: int,
    position: Literal["mean", "last"],
) -> np.ndarray:
    """Read states of rejected minus those of preferred answers: (n_pairs, d_model) float64.

    A state is the residual stream after block `layer` while the model reads prompt and answer:
    the mean over the answer's tokens, or its last token. An answer begins where the tokens of the
    prompt, with and without it, part.
    Raises InputError for an answer of which the model reads no token, and for a token that it
    lacks.
    """
    texts = [prompt + answer for prompt, *answers in pairs for answer in answers]
    prompts = tokenize_texts(tokenizer, [prompt for prompt, _, _ in pairs])
    longest = model.config.max_position_embeddings
    starts = []
    for place, ids in enumerate(tokenize_texts(tokenizer, texts)):
        start = count_shared(prompts[place // 2], ids)
        if start >= min(len(ids), longest):
            raise InputError(
                f"data.preference_pairs: the model reads no token of an answer of pair "
                f"{place // 2 + 1}, which is empty or lies beyond the {longest} tokens that it "
                "reads; leave the pair out"
            )
        starts.append(start)
    states = read_resid_post(model, tokenizer, texts, batch_size, [layer], position, starts)
    differences: np.ndarray = states[1::2, 0] - states[::2, 0]
    return differences


def count_shared(ids: Sequence[int], others: Sequence[int]) -> int:
    """Count the ids that two texts begin with alike."""
    same = (first == second for first, second in zip(ids, others, strict=False))
    return sum(takewhile(bool, same))


def find_pair_components(differences: np.ndarray, count: int) -> tuple[Components, int]:
    """Find the leading components of differences between answers, (n_pairs, d_model).

    They are the first right singular vectors of the differences, each scaled to length 1 and not
    centred. Each is turned to the side of the mean difference, from preferred to rejected answers.
    Pairs without a difference are left out.
    Returns the components, and how many pairs they are made of.
    Raises InputError for fewer dimensions than components.
    """
    different = differences[differences.any(axis=1)]
    if not len(different):
        raise InputError(
            "data.preference_pairs: the model reads preferred and rejected answers alike, so there "
            "is no direction; give other pairs"
        )
    mean = different.mean(axis=0)
    return leading_components(different, count, mean, "pairs"), len(different)
