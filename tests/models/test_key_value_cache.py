"""Caches with room, compared with transformers' own."""

import torch
from support.tiny_models import small_config
from transformers import DynamicCache

from dpo_neurons.models.key_value_cache import branch_cache, make_cache

SHAPE = 3, 2, 4
"""Prompts, heads, and width of a key."""


def read(cache, tokens, seed):
    """Append keys and values of so many tokens to each layer; return all that a layer gives."""
    prompts, heads, width = SHAPE
    random = torch.Generator().manual_seed(seed)
    states = torch.randn(2, len(cache.layers), prompts, heads, tokens, width, generator=random)
    return [cache.update(*states[:, layer], layer) for layer in range(len(cache.layers))]


def assert_equal(given, expected):
    for own, theirs in zip(given, expected, strict=True):
        assert all(map(torch.equal, own, theirs))


def test_keys_and_values_are_those_of_transformers():
    # Gemma 2 has layers with and without a sliding window; here it is 32 tokens long.
    config = small_config("gemma2")
    cache, theirs = make_cache(config, 3), DynamicCache(config=config)
    # Two tokens more than there is room for, then past the window.
    for seed, tokens in enumerate([5, 1, 1, 1, 1, 1, 40, 1]):
        assert_equal(read(cache, tokens, seed), read(theirs, tokens, seed))
        assert cache.get_seq_length() == theirs.get_seq_length()


def test_a_token_is_appended_without_a_copy_of_the_earlier_ones():
    cache = make_cache(small_config("gpt2"), 2)
    places = [
        [states.data_ptr() for layer in read(cache, tokens, 0) for states in layer]
        for tokens in (5, 1, 1)
    ]
    assert places[0] == places[1] == places[2]


def test_branches_of_a_cache_leave_each_other_as_they_are():
    config = small_config("gemma2")
    beginnings = make_cache(config, 0)
    read(beginnings, 5, 0)
    branches = [branch_cache(beginnings, 2) for _ in range(2)]
    for step in (1, 2):
        for number, branch in enumerate(branches):
            given = read(branch, 1, 10 * number + step)
            alone = DynamicCache(config=config)
            read(alone, 5, 0)
            for before in range(1, step):
                read(alone, 1, 10 * number + before)
            assert_equal(given, read(alone, 1, 10 * number + step))
    assert beginnings.get_seq_length() == 5
