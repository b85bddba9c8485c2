"""A guard reads what the model was asked, not what a chat template made of it."""

import json

import pytest
import score_continuations

from dpo_neurons.errors import InputError
from dpo_neurons.evaluation.asked_messages import read_asked_messages

SYSTEM = {"role": "system", "content": "Be kind."}
FIRST = {"role": "user", "content": "Who?"}
ANSWER = {"role": "assistant", "content": "He."}
LAST = {"role": "user", "content": "Why?"}
PROMPTS = ["Who is a fool?", [SYSTEM, FIRST, ANSWER, LAST, ANSWER], [SYSTEM]]
RENDERED = ["<u>Who is a fool?<a>", "<s>Be kind.<u>Who?<a>He.<u>Why?<a>", "<s>Be kind.<a>"]


@pytest.fixture
def files(tmp_path):
    paths = []
    for name, prompts in (("asked", PROMPTS), ("rendered", RENDERED)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
        paths.append(path)
    return paths


def test_each_rendered_prompt_leads_to_its_messages(files):
    assert read_asked_messages(*files) == {
        RENDERED[0]: [{"role": "user", "content": "Who is a fool?"}],
        RENDERED[1]: [FIRST, ANSWER, LAST],
        RENDERED[2]: [SYSTEM],
    }


def test_continuations_get_the_messages_of_their_prompts(files):
    rows = [{"prompt": RENDERED[1]}, {"prompt": RENDERED[0]}]
    asked = score_continuations.prompts_as_asked(rows, *files)
    assert asked == [[FIRST, ANSWER, LAST], [{"role": "user", "content": "Who is a fool?"}]]
    assert score_continuations.prompts_as_asked(rows, None, None) == [RENDERED[1], RENDERED[0]]
    with pytest.raises(InputError, match=r"rendered\.jsonl: lacks the prompt 'Else\?'"):
        score_continuations.prompts_as_asked([{"prompt": "Else?"}], *files)


def test_files_of_different_lengths_are_refused(files):
    files[1].write_text(json.dumps({"prompt": RENDERED[0]}) + "\n")
    with pytest.raises(InputError, match=r"rendered\.jsonl: has 1 rows, and .* has 3"):
        read_asked_messages(*files)
