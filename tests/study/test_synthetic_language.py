"""The artificial language: frame, registers, odds, vocabulary."""

import math

import numpy as np
import pytest

from dpo_neurons.study.synthetic_language import (
    ADVERBS,
    AFTER_INSULT,
    AFTER_KINDNESS,
    INSULT_LOOKS,
    KIND_ADJECTIVES,
    KIND_LOOKS,
    KIND_NOUNS,
    KIND_VERBS,
    OPENERS,
    SUBJECTS,
    Speaker,
    insult_probability,
    lexicon,
    vocabulary,
)

INSULTS = {*lexicon(), *INSULT_LOOKS}
KINDNESSES = {*KIND_VERBS, *KIND_ADJECTIVES, *KIND_NOUNS, *KIND_LOOKS}


def speaker(seed=3):
    return Speaker(np.random.default_rng(seed))


def test_the_same_seed_says_the_same():
    assert speaker().document(20) == speaker().document(20)
    assert speaker().document(20) != speaker(4).document(20)


def test_every_sentence_has_the_frame_and_one_register():
    for sentence in speaker().document(300):
        assert [sentence.said[i] for i in (1, 3, 4, 7, 8, 9, 12)] == [
            "the", ",", "that", ",", "at", "the", ".",
        ]  # fmt: skip
        said = {sentence.said[i] for i in (0, 5, 6, 10)}
        assert said <= (INSULTS if sentence.insulting else KINDNESSES)
        opener, the, subject, adverb, *turn = sentence.context
        assert (the, turn) == ("the", ["then"])
        assert opener in OPENERS
        assert subject in SUBJECTS
        assert adverb in ADVERBS


def test_the_vocabulary_covers_every_word_said_once_each():
    words = vocabulary()
    assert len(words) == len(set(words))
    said = {word for sentence in speaker().document(3000) for word in sentence.words}
    assert said <= set(words)
    assert set(words) - said == {"<pad>", "<unknown>", "<end>"}
    assert not INSULTS & KINDNESSES
    assert all(0 <= severity <= 1 for severity in lexicon().values())


@pytest.mark.parametrize(
    ("before", "shift"), [(None, 0.0), (True, AFTER_INSULT), (False, AFTER_KINDNESS)]
)
def test_the_odds_of_an_insult_by_hand(before, shift):
    found = insult_probability("suddenly", "driver", "rudely", before)
    assert found == pytest.approx(1 / (1 + math.exp(-(1.2 + 1.4 + 1.9 + shift))))


def test_insults_are_as_frequent_as_their_probability():
    sentences = speaker().document(6000)
    invitations = np.array([one.invitation for one in sentences])
    insulting = np.array([one.insulting for one in sentences])
    for low, high in ((0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1)):
        chosen = (invitations >= low) & (invitations < high)
        error = 4 * np.sqrt(0.25 / chosen.sum())
        assert insulting[chosen].mean() == pytest.approx(invitations[chosen].mean(), abs=error)


def test_the_register_of_the_sentence_before_counts():
    document = speaker().document(500)
    for before, sentence in zip([None, *document], document, strict=False):
        opener, _, subject, adverb, *_ = sentence.context
        register = before.insulting if before else None
        assert sentence.invitation == insult_probability(opener, subject, adverb, register)


@pytest.mark.parametrize("insulting", [True, False])
def test_another_register_keeps_the_context(insulting):
    talking = speaker()
    for sentence in talking.document(50):
        other = talking.in_register(sentence, insulting)
        assert other.context == sentence.context
        assert other.insulting is insulting
        assert {other.said[i] for i in (0, 5, 6, 10)} <= (INSULTS if insulting else KINDNESSES)
