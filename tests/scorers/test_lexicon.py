"""The lexicon scorer by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpo_neurons.errors import InputError
from dpo_neurons.scorers.lexicon import score_by_lexicon, split_at_words
from dpo_neurons.scorers.severities import gather_severities, normalise_text

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


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("damn ", "you damn dog"),
        (" hell", "what the hell is"),
        ("\u00a0hell\t", "hell"),
        ("IDIOT", "idiot!"),
        ("Stra\u00dfe", "STRASSE"),
        ("caf\u00e9", "cafe\u0301"),
        ("cafe\u0301", "CAF\u00c9"),
        ("\ufb01end", "a fiend"),
        ("\uff46ool", "fool"),
        ("fool", "f\u00ado\u200bol"),
        ("\ufefffool", "fool"),
        ("what  a\tfool", "What a\nfool"),
        ("\u0130stanbul", "i\u0307stanbul"),
    ],
)
def test_a_word_is_found_in_every_spelling(entry, text):
    assert score_by_lexicon([text], {entry: 0.5})["toxicity"].tolist() == [0.5]


@given(st.text())
def test_the_normal_form_is_normal(text):
    assert normalise_text(normalise_text(text)) == normalise_text(text)


@pytest.mark.parametrize(
    ("first", "second"), [("Idiot", "idiot"), ("damn ", "damn"), ("é", "e\u0301")]
)
def test_one_word_with_two_severities_is_refused(first, second):
    with pytest.raises(InputError, match=r"severity 0\.1, but 1 at lexicon; spaces"):
        score_by_lexicon(["x"], {first: 1, second: 0.1})
    assert score_by_lexicon([second], {first: 0.5, second: 0.5})["toxicity"].tolist() == [0.5]
    with pytest.raises(InputError, match=r"b: the word .* has severity 0\.2, but 0\.1 at a"):
        gather_severities([("a", first, 0.1), ("b", second, 0.2)])


@pytest.mark.parametrize("word", ["", " ", "\u200b", "\u00ad\n"])
def test_a_word_that_cannot_be_seen_is_refused(word):
    with pytest.raises(InputError, match="has no visible character"):
        score_by_lexicon(["x"], {word: 1})


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", [""]),
        ("foolish", ["foolish"]),
        ("the FOOL, fool!", ["the ", "FOOL", ", ", "fool", "!"]),
        ("  a half  wit", ["  a ", "half  wit", ""]),  # two spaces count as one
        ("\U0001f600 fo\u00adol's", ["\U0001f600 ", "fo\u00adol", "'s"]),  # a soft hyphen
        ("caf\u00e9 cafe\u0301.", ["", "caf\u00e9", " ", "cafe\u0301", "."]),  # an accent apart
        (
            "\ufb01n Stra\u00dfe",
            ["", "\ufb01n", " ", "Stra\u00dfe", ""],
        ),  # letters that fold to two
    ],
)
def test_texts_are_split_at_the_words_that_count(text, pieces):
    words = ["fool", "half wit", "caf\u00e9", "fin", "strasse"]
    assert split_at_words(text, words) == pieces
