"""Tokenizers with one token a word, for models that are trained from scratch."""

from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from dpo_neurons.study.synthetic_language import DOCUMENT_END, PADDING, UNKNOWN


def build_tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    """Build a tokenizer with one token a word, numbered in the order given.

    words: they include PADDING, UNKNOWN and DOCUMENT_END, which become the special tokens. Texts
    are split at white space.
    """
    ids = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    make_tokenizer: Any = PreTrainedTokenizerFast  # whose arguments have no types
    fast_tokenizer: PreTrainedTokenizerFast = make_tokenizer(
        tokenizer_object=tokenizer,
        pad_token=PADDING,
        unk_token=UNKNOWN,
        bos_token=DOCUMENT_END,
        eos_token=DOCUMENT_END,
    )
    return fast_tokenizer
