"""Cutting prompts: nothing is lost, and prompts are what they are said to be."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpo_neurons.study.prompt_cutting import cut_after, cut_shared_beginning

WORDS = st.lists(st.sampled_from(["a", "b", "don't", "日本"]), min_size=1, max_size=8)
SPACES = st.sampled_from([" ", "  ", "\t", " \n"])


@given(WORDS, SPACES, st.integers(1, 9))
def test_a_cut_text_is_the_text(words, space, count):
    text = space.join(words)
    parts = cut_after(text, count)
    if count >= len(words):
        assert parts is None
    else:
        assert "".join(parts) == text
        assert parts[0].split() == words[:count]
        assert re.match(r"\s\S", parts[1].replace("  ", " ").replace(" \n", " "))


@given(WORDS, WORDS, st.integers(1, 4))
def test_a_shared_beginning_is_the_longest_that_leaves_both_a_word(chosen, rejected, least):
    parts = cut_shared_beginning(" ".join(chosen), " ".join(rejected), least)
    longest = max(
        count
        for count in range(min(len(chosen), len(rejected)))
        if chosen[:count] == rejected[:count]
    )
    if longest < least:
        assert parts is None
        return
    (prompt, answer), (same_prompt, other) = parts
    assert prompt == same_prompt == " ".join(chosen[:longest])
    assert (prompt + answer, prompt + other) == (" ".join(chosen), " ".join(rejected))


@pytest.mark.parametrize(
    ("chosen", "rejected", "parts"),
    [
        ("you are kind", "you are dumb .", (("you are", " kind"), ("you are", " dumb ."))),
        ("you are", "you are dumb", (("you", " are"), ("you", " are dumb"))),  # a word is left
        ("You are kind", "you are dumb", None),  # another case is another word
        ("kind", "dumb", None),
    ],
)
def test_pairs_of_a_detoxification_set(chosen, rejected, parts):
    assert cut_shared_beginning(chosen, rejected, 1) == parts
