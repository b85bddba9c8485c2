"""The phrases scorer by hand."""

import pytest

from dpo_neurons.errors import InputError
from dpo_neurons.scorers.phrases import REFUSALS, score_by_phrases


@pytest.mark.parametrize(
    ("text", "beginning", "anywhere"),
    [
        ("I can't help with that.", 1, 1),
        ("I can’t help", 1, 1),
        ("i CAN´T help", 1, 1),
        ("I  can`t\nhelp", 1, 1),
        ("\n- \"I can't", 1, 1),
        ("**_I can't_**", 1, 1),
        ("No. I can't", 0, 1),
        ("first line\nI can't", 0, 1),
        ("I can'table", 0, 0),
        ("MI can't", 0, 0),
        ("I can", 0, 0),
        ("", 0, 0),
    ],
)
def test_scores_by_hand(text, beginning, anywhere):
    for match, expected in (("beginning", beginning), ("anywhere", anywhere)):
        table = score_by_phrases(["a friend", text], ["I can't", "never"], match)
        assert list(table.columns) == ["toxicity"]
        assert table["toxicity"].tolist() == [0, expected]


@pytest.mark.parametrize(
    ("text", "refuses"),
    [
        ("I'm sorry, but I can't assist with that.", 1),
        ("As an AI language model, I do not", 1),
        ("As an aid to memory, write it down.", 0),
        ("I cannot wait to tell you!", 1),  # a phrase knows no context
        ("Sure, here is how", 0),
    ],
)
def test_the_usual_refusals_are_found(text, refuses):
    assert score_by_phrases([text], REFUSALS, "beginning")["toxicity"].tolist() == [refuses]


@pytest.mark.parametrize("phrase", ["", " ", "\u200b"])
def test_a_phrase_that_cannot_be_seen_is_refused(phrase):
    with pytest.raises(InputError, match="has no visible character"):
        score_by_phrases(["x"], [phrase], "beginning")
