"""Labels in a user's columns: numbers between 0 and 1, or an error with their line."""

import pytest
from support.refused_rows import refused


@pytest.mark.parametrize(
    ("value", "number"),
    [(0, 0), (1.0, 1.0), (0.3, 0.3), (True, 1), (False, 0), ("1", 1), ("0.5", 0.5), ("FALSE", 0)],
)
def test_labels_are_numbers(select, value, number):
    (row,), _ = select([{"text": "a", "toxic": value}], "labelled_comments")
    assert row["toxic"] == number
    assert not isinstance(row["toxic"], bool)


@pytest.mark.parametrize("value", ["-1", 2, "", "yes", None, "NaN", float("nan"), [1], "1e999"])
def test_a_label_that_is_none_is_named_with_its_line(select, value):
    good = {"text": "a", "toxic": 1}
    message = refused(select, [good, good | {"toxic": value}], "labelled_comments")
    assert 'mine.jsonl, line 2: needs the key "toxic" with a number between 0 and 1' in message


@pytest.mark.parametrize("value", ["-1", 2, "", "yes", None, [1]])
def test_a_further_label_that_is_none_is_named_with_its_line(select, value):
    good = {"text": "a", "toxic": 1, "rude": 0.5}
    columns = {"insult": "rude"}
    assert select([good], "labelled_comments", columns=columns)[0] == [
        {"text": "a", "toxic": 1, "insult": 0.5}
    ]
    message = refused(select, [good, good | {"rude": value}], "labelled_comments", columns=columns)
    assert 'mine.jsonl, line 2: needs the key "insult" with a number between 0 and 1' in message
