"""The lexicon scorer by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpo_neurons.scorers.lexicon import score_by_lexicon

SEVERITIES = {"fool": 0.5, "Oaf": 0.2, "twit": 0.0, "brute": 1.0}


@pytest.mark.parametrize(
    ("text", "toxicity", "severest", "matches"),
    [
        ("", 0, 0, 0),
        ("a friend", 0, 0, 0),
        ("the fool", 0.5, 0.5, 1),
        ("FOOL, fool!", 0.75, 0.5, 2),
        ("that oaf and fool", 0.6, 0.5, 2),
        ("foolish tomfool", 0, 0, 0),
        ("a twit", 0, 0, 1),
        ("brute fool", 1, 1, 2),
    ],
)
def test_scores_by_hand(text, toxicity, severest, matches):
    scores = score_by_lexicon(["something else", text], SEVERITIES)
    assert list(scores.columns) == ["toxicity", "severest", "matches"]
    assert scores.loc[0].tolist() == [0, 0, 0]
    assert scores.loc[1].tolist() == pytest.approx([toxicity, severest, matches])


@given(st.lists(st.sampled_from(["fool", "oaf", "twit", "day"]), max_size=12), st.randoms())
def test_toxicity_grows_with_every_word_and_not_with_their_order(words, random):
    shuffled = words.copy()
    random.shuffle(shuffled)
    texts = [" ".join(words), " ".join(shuffled), " ".join([*words, "oaf"])]
    one, other, more = score_by_lexicon(texts, SEVERITIES)["toxicity"]
    assert one == pytest.approx(other)
    assert 0 <= one <= more < 1


@pytest.mark.parametrize("entry", ["half-wit", "idée fixe", "what a fool"])
def test_entries_that_are_more_than_one_word_are_found_too(entry):
    scores = score_by_lexicon([f"oh {entry} !"], {entry: 0.5})
    assert scores["toxicity"].tolist() == [0.5]
