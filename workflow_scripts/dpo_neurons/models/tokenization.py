"""Texts as token ids: begun as the tokenizer begins texts, never ended, within the vocabulary."""

import copy
import logging
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any, Literal

import torch
from tokenizers.processors import TemplateProcessing
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.errors import InputError

log = logging.getLogger("dpo_neurons")

SHOWN = 40
"""Characters of a text that an error message shows."""
SAMPLES = (
    "the baker then",
    " Two  spaces, a\ttab\nand a line.",
    "It's 12345 o'clock, isn't it?",
    "Straße, café, cafe\u0301, ﬁne, ＡＢＣ, İstanbul",
    "日本語 и русский 🙂",
)
"""Texts that differ by normalisation, splitting, prefixes and added tokens."""


def find_added_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Find the tokens that a tokenizer adds before and after every text.

    A text is tokenized with and without special tokens; what is before and after the same ids is
    added. A token that is appended is no beginning, even where both are the same token.
    Raises InputError for a tokenizer that makes other ids of a text when it adds tokens.
    """
    for sample in _samples(tokenizer):
        plain = tokenizer(sample, add_special_tokens=False)["input_ids"]
        whole = tokenizer(sample)["input_ids"]
        starts = range(len(whole) - len(plain) + 1)
        places = [start for start in starts if plain and whole[start:][: len(plain)] == plain]
        # Two places, as where an unknown word is the very token that is added, tell nothing.
        if len(places) == 1:
            return whole[: places[0]], whole[places[0] + len(plain) :]
    raise InputError(
        f"{tokenizer.name_or_path}: the tokens that the tokenizer adds to texts cannot be told "
        "from those of the texts; give the model's own tokenizer"
    )


def _samples(tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    """Short texts of which some tokenizer may make no ids: a word, then words that it has."""
    yield "a"
    yield from islice(tokenizer.get_vocab(), 256)


def tokenize_texts(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Tokenize texts that a model is to read or continue: a list of ids a text.

    Each begins as the tokenizer begins texts, once: a text that begins so by itself gets nothing
    before it. What the tokenizer appends, such as an end-of-sequence token, is left out, for the
    text goes on.
    Raises InputError for a text of which the tokenizer makes no token.
    """
    before, after = find_added_tokens(tokenizer)
    if after:
        _say_once(f"the tokenizer ends texts with {_names(tokenizer, after)}, which is left out")
    rows = []
    rows_of_ids = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    for text, ids in zip(texts, rows_of_ids, strict=True):
        if not ids:
            raise InputError(
                f"{tokenizer.name_or_path}: the tokenizer makes no token of the text "
                f"{text[:SHOWN]!r}; take it out of the data, or give the model's own tokenizer"
            )
        begun = begins_with(ids, before)
        if begun:
            _say_once(f"texts that begin with {_names(tokenizer, before)} get no second one")
        rows.append(list(ids) if begun else [*before, *ids])
    return rows


def stop_appending(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Return a tokenizer that appends nothing to texts, for programs that end them by themselves.

    trl ends each answer with the end-of-sequence token. A tokenizer that appends one too would end
    it twice, and would put one between a prompt and its answer.
    """
    before, after = find_added_tokens(tokenizer)
    if not after:
        return tokenizer
    log.info(
        "the tokenizer ends texts with %s; answers get one end alone", _names(tokenizer, after)
    )
    return _add_only(tokenizer, before)


def follow_template(
    tokenizer: PreTrainedTokenizerBase, prompt: str, answer: str
) -> PreTrainedTokenizerBase:
    """Return a tokenizer for a program that reads what a chat template has rendered.

    It begins texts once, as `tokenize_texts` does, and appends nothing. prompt, answer: of one row.
    If the answer ends with a special token, that is the end-of-sequence token, so trl puts no
    second one behind it.
    """
    before, _ = find_added_tokens(tokenizer)
    ids, answer_ids = tokenizer([prompt, answer], add_special_tokens=False)["input_ids"]
    changed = _add_only(tokenizer, [] if begins_with(ids, before) else before)
    token = tokenizer.added_tokens_decoder.get(answer_ids[-1])
    if token is not None and token.special:
        changed.eos_token = token.content
    return changed


def _add_only(tokenizer: PreTrainedTokenizerBase, before: list[int]) -> PreTrainedTokenizerBase:
    """Copy a tokenizer, and let the copy add these tokens before texts and none after them."""
    changed: Any = copy.deepcopy(tokenizer)
    names = changed.convert_ids_to_tokens(before)
    changed.backend_tokenizer.post_processor = TemplateProcessing(
        single=[*names, "$A"], special_tokens=list(zip(names, before, strict=True))
    )
    copied: PreTrainedTokenizerBase = changed
    return copied


def begins_with(ids: Sequence[int], before: Sequence[int]) -> bool:
    """Whether ids begin with the tokens that a tokenizer puts before texts, where it puts any."""
    return bool(before) and list(ids[: len(before)]) == list(before)


def count_tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[int]:
    """Count each text's tokens, with those that it begins with."""
    return [len(ids) for ids in tokenize_texts(tokenizer, texts)]


def pad_rows(
    rows: Sequence[Sequence[int]], padding: int, side: Literal["left", "right"]
) -> tuple[Tensor, Tensor]:
    """Pad rows of ids to one length: ids and mask of real tokens, (n, length) int64 each."""
    length = max(map(len, rows))
    ids = torch.full((len(rows), length), padding, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        places = slice(length - len(row), length) if side == "left" else slice(0, len(row))
        ids[number, places] = torch.tensor(row, dtype=torch.long)
        mask[number, places] = 1
    return ids, mask


def choose_padding(tokenizer: PreTrainedTokenizerBase, vocabulary: int) -> int:
    """Choose the token to pad with: the tokenizer's, else its end of texts, else the first.

    vocabulary: tokens that the model has. Padding is masked, so any token that it has will do.
    """
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None and token < vocabulary:
            return int(token)
    return 0


def count_vocabulary(model: PreTrainedModel) -> int:
    """Count the tokens that a model has vectors for."""
    embedding: Any = model.get_input_embeddings()
    return int(embedding.weight.shape[0])


def barred_tokens(model: PreTrainedModel) -> list[int]:
    """List the tokens of a model that the other checkpoint of its pair does not have."""
    return list(model.generation_config.suppress_tokens or [])


def check_ids(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Sequence[int]]
) -> None:
    """Check that a model can read rows of ids.

    Raises InputError for a token that the model, or the other checkpoint of its pair, lacks.
    """
    vocabulary, barred = count_vocabulary(model), set(barred_tokens(model))
    for ids in rows:
        for token in ids:
            if token >= vocabulary or token in barred:
                text = str(tokenizer.decode(list(ids)))[:SHOWN]
                raise InputError(
                    f"{model.config.name_or_path or 'the model'}: has no vector for token {token}, "
                    f"{_names(tokenizer, [token])}, which the tokenizer makes of {text!r}; take it "
                    "out of the text, or use the tokenizer that belongs to the model"
                )


def _names(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """Name tokens as the vocabulary spells them."""
    return " ".join(repr(token) for token in tokenizer.convert_ids_to_tokens(list(ids)))


@cache
def _say_once(sentence: str) -> None:
    """Log a sentence, once while the program runs."""
    log.info("%s", sentence)
