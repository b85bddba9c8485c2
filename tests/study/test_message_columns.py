"""Messages of a chat in a user's columns, in place of a text."""

import pytest
from support.refused_rows import refused

ASKED = [{"role": "user", "content": "a"}]


def test_messages_may_stand_in_place_of_a_text_and_keep_role_and_content(select):
    chosen = [*ASKED, {"role": "assistant", "content": "b", "weight": 1, "tool_calls": None}]
    rows = [
        {"prompt": ASKED, "chosen": chosen, "rejected": "c"},
        {"prompt": ASKED, "chosen": [{"role": "assistant", "content": " "}], "rejected": "c"},
        {"prompt": [], "chosen": "b", "rejected": "c"},
    ]
    answer = {"role": "assistant", "content": "b"}
    kept = {"prompt": ASKED, "chosen": [*ASKED, answer], "rejected": "c"}
    left_out = {"blank chosen": 1, "blank prompt": 1}
    assert select(rows, "preference_pairs") == ([kept], left_out)


@pytest.mark.parametrize(
    "value", [["a"], [*ASKED, {"role": "user"}], [{"content": "a"}], [{**ASKED[0], "role": ""}]]
)
def test_an_item_that_is_no_message_is_named(select, value):
    message = refused(select, [{"prompt": value}], "challenge_prompts")
    number = len(value)
    assert f"line 1: prompt: message {number} of {number} is not of the form" in message


def test_a_text_that_is_cut_cannot_be_messages(select):
    message = refused(select, [{"text": ASKED}], "challenge_prompts", prompt_words=2)
    assert 'line 1: needs the key "text" with a text value' in message
