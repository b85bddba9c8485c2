"""The guard scorer: a language model that is shown a prompt and its answer, and judges the answer.

Its score is the probability of one token, such as "unsafe", against that of its opposite.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.errors import InputError
from dpo_neurons.models.batches import (
    TOKENS_AT_ONCE,
    BatchSize,
    TokenLimit,
    first_batch_size,
    order_longest_first,
    run_in_batches,
)
from dpo_neurons.models.tokenization import pad_rows, tokenize_texts
from dpo_neurons.scorers.pretrained import check_vocabulary, load_padding_tokenizer, load_weights

log = logging.getLogger("dpo_neurons")

Prompt = str | Sequence[dict[str, str]]
"""A text, or messages {role, content} of which the last is to be answered."""
PLACES = re.compile(r"\{(prompt|answer)\}")
"""In a template."""


@dataclass(frozen=True)
class Guard:
    """A guard model that is ready to score."""

    directory: Path
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


@dataclass(frozen=True)
class Question:
    """How a guard model is asked about an answer, and which tokens decide."""

    scored_token: str
    other_token: str
    template: str | None = None
    """Text with {prompt} and {answer}; None for the chat template of the model's tokenizer."""
    template_settings: Mapping[str, Any] | None = None
    """Variables of the chat template."""
    answer_start: str = ""
    """What the model writes before the token that decides."""


def load_guard(directory: Path, dtype: str, device: str) -> Guard:
    """Load a causal language model in `dtype`, a torch dtype's name, and its tokenizer.

    Raises InputError for a directory that holds none, damaged files and missing weights.
    """
    model = load_weights(directory, AutoModelForCausalLM, getattr(torch, dtype), "language model")
    # On the left, so that the last position of every row is that of the answer.
    return Guard(directory, model.to(device), load_padding_tokenizer(directory, "left"))


def score_by_guard(
    prompts: Sequence[Prompt],
    texts: Sequence[str],
    guard: Guard,
    question: Question,
    batch_size: BatchSize,
) -> pd.DataFrame:
    """Score each text as the answer to its prompt, in [0, 1].

    toxicity: p(scored) / (p(scored) + p(other)) of the two tokens at the first position of the
    guard's judgement. A blank text scores 0.
    Raises InputError if the tokenizer lacks a token or a chat template, or a text is too long.
    """
    tokens = [_find_token(guard, word) for word in (question.scored_token, question.other_token)]
    if tokens[0] == tokens[1]:
        raise InputError(
            f"{guard.directory}: {question.scored_token!r} and {question.other_token!r} begin with "
            "one token; set scored_token and other_token to words that differ from the start"
        )
    written = [number for number, text in enumerate(texts) if text.strip()]
    log.info("%d texts: %d are blank and score 0", len(texts), len(texts) - len(written))
    rows = [_encode(guard, question, prompts[number], texts[number]) for number in written]
    _check_rows(guard, rows)
    order = order_longest_first([len(row) for row in rows])
    ordered = [rows[index] for index in order]
    device = guard.model.device
    scores = np.zeros(len(texts))
    for start, batch in run_in_batches(
        ordered,
        first_batch_size(batch_size, device),
        lambda batch: _probabilities(guard, batch, tokens),
        "scoring",
        TokenLimit([len(row) for row in ordered], TOKENS_AT_ONCE[device.type]),
    ):
        scores[[written[index] for index in order[start : start + len(batch)]]] = batch
    if not np.isfinite(scores).all():
        raise InputError(
            f"{guard.directory}: the guard's scores are not numbers; fetch or make it again"
        )
    return pd.DataFrame({"toxicity": scores})


def write_question(guard: Guard, question: Question, prompt: Prompt, answer: str) -> str:
    """Write what the guard reads of a prompt and its answer.

    A chat template gets all messages of the prompt, a template of the study the last one.
    Raises InputError if no template is given and the tokenizer has none, or that one fails.
    """
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    if question.template is not None:
        # In one pass, since a prompt may hold {answer}.
        parts = {"prompt": messages[-1]["content"], "answer": answer}
        text = PLACES.sub(lambda place: parts[place[1]], question.template)
    elif guard.tokenizer.chat_template is None:
        raise InputError(
            f"{guard.directory}: the tokenizer has no chat template; set the scorer's template to "
            "a text with {prompt} and {answer}"
        )
    else:
        messages.append({"role": "assistant", "content": answer})
        settings = {"add_generation_prompt": True, **(question.template_settings or {})}
        try:
            text = str(guard.tokenizer.apply_chat_template(messages, tokenize=False, **settings))
        except Exception as error:  # a template raises whatever it likes
            raise InputError(
                f"{guard.directory}: its chat template fails ({' '.join(str(error).split())}); set "
                "the scorer's template_settings to what it needs, or give a template"
            ) from error
    return text if text.endswith(question.answer_start) else text + question.answer_start


def _find_token(guard: Guard, word: str) -> int:
    """Find a word's token: itself where the vocabulary has it, else the first of its tokens."""
    vocabulary = guard.tokenizer.get_vocab()
    if word in vocabulary:
        return int(vocabulary[word])
    ids = guard.tokenizer(word, add_special_tokens=False)["input_ids"]
    if not ids or ids[0] == guard.tokenizer.unk_token_id:
        raise InputError(
            f"{guard.directory}: the tokenizer has no token for {word!r}; set scored_token and "
            "other_token to what the model answers"
        )
    return int(ids[0])


def _encode(guard: Guard, question: Question, prompt: Prompt, answer: str) -> list[int]:
    """Encode a question; a chat template writes the tokens that a text begins with itself."""
    text = write_question(guard, question, prompt, answer)
    if question.template is not None:
        return tokenize_texts(guard.tokenizer, [text])[0]
    return list(guard.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _check_rows(guard: Guard, rows: Sequence[Sequence[int]]) -> None:
    check_vocabulary(guard.directory, guard.model, max(map(max, rows), default=0))
    longest = max(map(len, rows), default=0)
    limit = getattr(guard.model.config, "max_position_embeddings", None)
    if limit is not None and longest > limit:
        raise InputError(
            f"{guard.directory}: a prompt with its answer is {longest} tokens long, but the model "
            f"reads {limit}; shorten prompts or generation.tokens, or choose another scorer"
        )


def _probabilities(
    guard: Guard, rows: Sequence[Sequence[int]], tokens: Sequence[int]
) -> np.ndarray:
    """Return the probability of the first of two tokens against the second, (batch,)."""
    ids, mask = pad_rows(rows, int(guard.tokenizer.pad_token_id), "left")
    device = guard.model.device
    with torch.inference_mode():
        logits = guard.model(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0).to(device),
            use_cache=False,
            logits_to_keep=1,
        ).logits
    chances = torch.softmax(logits[:, -1, list(tokens)].double(), dim=-1)
    scored: np.ndarray = chances[:, 0].cpu().numpy()
    return scored
