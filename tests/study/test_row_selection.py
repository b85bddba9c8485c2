"""Rows chosen by number or label, labels mapped to numbers, prompts made of texts."""

import pytest
from support.refused_rows import refused

from dpo_neurons.study.column_mapping import Selection, select_rows


def test_labels_are_mapped_and_others_are_named(select):
    labels = {"toxic": {"hate": 1, "offensive": 0.75, "neither": 0}}
    rows = [{"text": "a", "label": "hate"}, {"text": "b", "label": "neither"}]
    columns = {"toxic": "label"}
    taken, _ = select(rows, "labelled_comments", columns=columns, labels=labels)
    assert taken == [{"text": "a", "toxic": 1}, {"text": "b", "toxic": 0}]
    message = refused(
        select,
        [*rows, {"text": "c", "label": "rude"}],
        "labelled_comments",
        columns=columns,
        labels=labels,
    )
    assert "line 3: data.labelled_comments.labels.toxic: has no number for 'rude'" in message
    assert "only for hate, offensive" in message


@pytest.mark.parametrize("classes", [[0, 2], ["0", "2"], [0.0, 2.0], ["0.0", "2.0"]])
def test_classes_by_number_are_mapped_whatever_their_form(select, classes):
    rows = [{"text": "a", "toxic": value} for value in classes]
    taken, _ = select(rows, "labelled_comments", labels={"toxic": {"0": 1, "2": 0}})
    assert [row["toxic"] for row in taken] == [1, 0]


def test_one_label_may_be_mapped_beside_numbers(select):
    rows = [{"text": "a", "class": "x", "toxic": 0.25}]
    taken, _ = select(
        rows, "labelled_comments", columns={"rude": "class"}, labels={"rude": {"x": 1}}
    )
    assert taken == [{"text": "a", "toxic": 0.25, "rude": 1}]


def test_skipped_rows_are_those_of_the_files_before_any_choice(select):
    rows = [{"text": f"t{n}", "lang": "en" if n % 2 else "de"} for n in range(8)]
    taken, left_out = select(rows, "perplexity_text", where={"lang": "en"}, skip=4, rows=1)
    assert taken == [{"text": "t5"}]
    assert left_out == {"skipped": 4, 'not lang="en"': 1}


def test_pairs_get_the_prompt_that_both_answers_begin_with(select):
    rows = [
        {"toxic": "well you are dumb .", "neutral1": "well you are wrong."},
        {"toxic": "dumb", "neutral1": "wrong"},
        {"toxic": "x", "neutral1": None},
    ]
    columns = {"chosen": "neutral1", "rejected": "toxic"}
    taken, left_out = select(rows, "preference_pairs", columns=columns, shared_words=3)
    assert taken == [{"prompt": "well you are", "chosen": " wrong.", "rejected": " dumb ."}]
    fewer = "chosen and rejected begin with fewer than 3 equal words"
    assert left_out == {fewer: 1, "blank chosen": 1}


def test_challenge_prompts_are_the_beginnings_of_texts(select):
    taken, left_out = select(
        [{"toxic": "a b c d"}, {"toxic": "a b"}],
        "challenge_prompts",
        columns={"text": "toxic"},
        prompt_words=2,
    )
    assert taken == [{"prompt": "a b"}]
    assert left_out == {"fewer than 3 words": 1}


def test_a_list_of_words_is_a_lexicon_with_one_severity(tmp_path):
    (tmp_path / "words.txt").write_text("damn\n\nhalf wit\r\n")
    selection = Selection("lexicon", columns={"word": "text"}, severity=0.5)
    rows, left_out = select_rows([tmp_path / "words.txt"], selection)
    assert rows == [{"word": "damn", "severity": 0.5}, {"word": "half wit", "severity": 0.5}]
    assert left_out == {"blank word": 1}


def test_as_many_rows_of_each_label_are_taken(select):
    rows = [{"text": f"t{n}", "toxic": float(n % 3 > 0)} for n in range(12)]
    taken, left_out = select(rows, "labelled_comments", rows_per_label=2)
    # Of t0, t3, t6, t9 and of the eight others, every second and every fourth.
    assert [row["text"] for row in taken] == ["t0", "t1", "t6", "t7"]
    assert left_out == {"enough of its label": 8}
    taken, _ = select(rows, "labelled_comments", rows_per_label=6)
    assert [row["toxic"] for row in taken].count(0) == 4
    assert len(taken) == 10
