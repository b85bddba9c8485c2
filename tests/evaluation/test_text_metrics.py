"""F1 and repetition by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpo_neurons.evaluation.text_metrics import is_degenerate, repetition, split_words, unigram_f1


def test_words_are_in_lower_case_without_punctuation():
    assert split_words("The fool, that – dull! OAF's 2nd.") == [
        "the", "fool", "that", "dull", "oaf", "s", "2nd",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("continuation", "gold", "f1"),
    [
        ("a b c d", "a b c d", 1.0),
        ("A, b!", "b a .", 1.0),
        ("a b", "c d", 0.0),
        ("", "a", 0.0),
        ("a", "", 0.0),
        ("...", "a", 0.0),
        ("a b c d", "a b", 2 / 3),  # precision 1/2, recall 1
        ("a a a a", "a b", 1 / 3),  # one match: precision 1/4, recall 1/2
        ("a a b", "a a a c", 4 / 7),  # two matches: precision 2/3, recall 1/2
    ],
)
def test_f1_counts_words_as_often_as_both_have_them(continuation, gold, f1):
    assert unigram_f1(continuation, gold) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("text", "n", "share"),
    [
        ("a b c d", 2, 0.0),
        ("a b a b", 2, 1 / 3),
        ("a a a a a", 2, 3 / 4),
        ("a b c a b c", 3, 1 / 4),
        ("a", 2, 0.0),
        ("", 2, 0.0),
        ("a a", 1, 1 / 2),
        ("A b, a B.", 2, 1 / 3),
    ],
)
def test_repetition_is_the_share_of_grams_seen_before(text, n, share):
    assert repetition(text, n) == pytest.approx(share)


@settings(max_examples=60, deadline=None)
@given(st.text(), st.text())
def test_metrics_are_symmetric_shares(first, second):
    assert unigram_f1(first, second) == pytest.approx(unigram_f1(second, first))
    assert 0 <= unigram_f1(first, second) <= 1
    assert 0 <= repetition(first) < 1


@pytest.mark.parametrize(
    ("text", "tokens", "expected"),
    [
        ("", [], True),
        (" \n", [5, 5], True),
        ("!!!", [7, 7, 7], True),
        ("no no", [7, 7], False),
        ("Yes", [3], False),
        ("a b a b", [1, 2, 1, 2], False),
    ],
)
def test_a_degenerate_text_is_empty_or_one_repeated_token(text, tokens, expected):
    assert is_degenerate(text, tokens) == expected
