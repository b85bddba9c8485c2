"""Texts that are only read: how many at once, and in whose order their results are."""

import numpy as np
from support.tiny_models import PROMPTS

from dpo_neurons.models import batches
from dpo_neurons.models.text_reading import read_texts


def test_long_texts_are_read_fewer_at_a_time(gpt2, tokenizer, monkeypatch):
    monkeypatch.setitem(batches.TOKENS_AT_ONCE, "cpu", 8)
    shapes = []

    def count_tokens(mask):
        shapes.append(tuple(mask.shape))
        return mask.sum(dim=1).numpy()

    lengths = read_texts(gpt2, tokenizer, PROMPTS, 16, count_tokens)
    assert shapes == [(1, 6), (2, 4), (2, 2)]
    np.testing.assert_array_equal(lengths, [2, 1, 6, 3, 4])
