"""Texts that a chat template renders, by hand, and what DPO trains on them."""

import json
import sys

import pytest
import render_chat
from datasets import Dataset
from support.changed_checkpoints import change_json, change_tokenizer
from support.chat_templates import TEMPLATE, TURNS, give_template
from trl import DPOConfig, DPOTrainer

from dpo_neurons.checkpoints.chat import load_chat, render_rows
from dpo_neurons.checkpoints.fine_tuning import answer_of, fit_tokenizer
from dpo_neurons.errors import InputError
from dpo_neurons.models.loading import load_tokenizer, load_trainable_model
from dpo_neurons.models.tokenization import tokenize_texts

pytest_plugins = ["support.copied_pair"]

END = 2
USER_TURN = [34, 4, 8, 36]
"""w31 w1 w5 w33: ids of a user's message "w1 w5" and its end."""


def word(number):
    return number + 3


@pytest.fixture
def checkpoint(pair):
    """A checkpoint whose tokenizer has this chat template and adds this to texts."""

    def with_template(**template):
        pre, _ = pair("gpt2")
        change_tokenizer(pre, give_template(**template))
        return pre

    return with_template


def render(checkpoint, dataset, row, system=None):
    chat = load_chat(checkpoint, system)
    (rendered,) = render_rows(chat, dataset, [("rows.jsonl, line 1", row)])
    return rendered


def ids_of(checkpoint, text):
    (ids,) = tokenize_texts(load_tokenizer(checkpoint), [text])
    return ids


def conversation(*turns):
    return [{"role": role, "content": content} for role, content in turns]


@pytest.mark.parametrize("processor", ["$A", "<end> $A", "<end> $A <end>"])
def test_a_prompt_has_the_tokens_of_the_template_and_begins_once(checkpoint, processor):
    path = checkpoint(processor=processor)
    row = render(path, "challenge_prompts", {"prompt": "w1 w5", "number": 7})
    assert ids_of(path, row["prompt"]) == [END, *USER_TURN, word(32)]
    asked = conversation(("user", "w1 w5"))
    template = load_tokenizer(path).apply_chat_template(asked, add_generation_prompt=True)
    assert ids_of(path, row["prompt"]) == template["input_ids"]
    assert (row["number"], row["rendered"]) == (7, True)


def test_a_template_without_a_beginning_gets_what_the_tokenizer_adds(checkpoint):
    path = checkpoint(template=TURNS)
    row = render(path, "challenge_prompts", {"prompt": "w1 w5"})
    assert row["prompt"].startswith(" w31")
    assert ids_of(path, row["prompt"]) == [END, *USER_TURN, word(32)]


def test_messages_read_as_the_text_does_and_the_system_message_comes_first(checkpoint):
    path = checkpoint()
    asked = conversation(("user", "w1 w5"))
    text = render(path, "reference_sentences", {"prompt": "w1 w5", "gold": "w6"}, "w2")
    told = [END, word(30), word(2), word(33), *USER_TURN, word(32)]
    assert ids_of(path, text["prompt"]) == told
    assert text["gold"] == "w6"
    for prompt in (asked, [*asked, *conversation(("assistant", "w7"))]):
        assert (
            render(path, "challenge_prompts", {"prompt": prompt}, "w2")["prompt"]
            == (text["prompt"])
        )
    own = conversation(("system", "w2"), ("user", "w1 w5"))
    row = render(path, "challenge_prompts", {"prompt": own}, "w9")
    assert ids_of(path, row["prompt"]) == told


def test_a_labelled_text_is_a_message_or_a_whole_conversation(checkpoint):
    path = checkpoint()
    row = render(path, "labelled_comments", {"text": "w1 w5", "toxic": 1})
    assert ids_of(path, row["text"]) == [END, *USER_TURN, word(32)]
    answered = conversation(("user", "w1 w5"), ("assistant", "w7"))
    row = render(path, "labelled_comments", {"text": answered, "toxic": 1})
    assert ids_of(path, row["text"]) == [END, *USER_TURN, word(32), word(7), word(33)]


PAIR = {"prompt": "w1 w5", "chosen": "w7 w8", "rejected": "w9"}


@pytest.mark.parametrize(
    ("template", "whole"), [(TEMPLATE, True), (TEMPLATE, False), (TURNS, True)]
)
def test_dpo_begins_prompts_once_and_ends_answers_as_the_template_does(
    checkpoint, tmp_path, template, whole
):
    path = checkpoint(template=template)
    asked = conversation(("user", "w1 w5"))
    pair = {
        **PAIR,
        "chosen": [*(asked if whole else []), *conversation(("assistant", "w7 w8"))],
    }
    row = render(path, "preference_pairs", pair)
    assert row == render(path, "preference_pairs", PAIR)
    tokenizer = fit_tokenizer(load_tokenizer(path), [row], "chosen")
    texts = {key: answer_of(row, key) for key in ("chosen", "rejected")}
    texts["prompt"] = row["prompt"]
    models = [load_trainable_model(path, "float32") for _ in range(2)]
    settings = DPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to=[])
    trainer = DPOTrainer(
        *models, settings, train_dataset=Dataset.from_list([texts]), processing_class=tokenizer
    )
    (read,) = trainer.train_dataset
    assert read["prompt_ids"] == [END, *USER_TURN, word(32)]
    assert read["chosen_ids"] == [word(7), word(8), word(33)]
    assert read["rejected_ids"] == [word(9), word(33)]


def test_a_template_that_writes_the_date_always_writes_the_same(checkpoint):
    dates = "{{ strftime_now( '%d %b %Y' ) }}; {{ strftime_now(\"%Y-%m-%d\") }}"
    path = checkpoint(template=dates + "{{ messages[0].content }}")
    row = render(path, "challenge_prompts", {"prompt": " w1"})
    assert row["prompt"] == "26 Jul 2024; 2024-07-26 w1"


def test_a_checkpoint_without_a_template_is_refused(checkpoints):
    path = checkpoints["gpt2", "pre"]
    with pytest.raises(InputError, match="has no chat template, which models") as told:
        load_chat(path, None)
    assert str(path) in str(told.value)


@pytest.mark.parametrize(
    ("template", "row", "message"),
    [
        (
            "{{ raise_exception('no system role') }}",
            PAIR,
            r"line 1: the chat template of .* refuses the messages \(no system role\)",
        ),
        ("{{ 1 / 0 }}", PAIR, r"line 1: .* refuses the messages \(division by zero\)"),
        ("{% include 'x' %}", PAIR, r"line 1: .* refuses the messages \(no loader"),
        ("w4", PAIR, "line 1: the chat template of .* leaves out the user's message"),
        ("{{ messages[0].content }}", PAIR, "line 1: chosen: .* leaves out the answer"),
        (
            TURNS + "{% if messages|length > 1 %}{% else %}w4{% endif %}",
            PAIR,
            "line 1: chosen: the chat template of .* writes the prompt in another way",
        ),
        (
            TURNS,
            {**PAIR, "chosen": conversation(("user", "w9"), ("assistant", "w7"))},
            "line 1: chosen is not one answer of the assistant",
        ),
        (
            TURNS,
            {**PAIR, "prompt": conversation(("assistant", "w9"))},
            "line 1: prompt has no message to answer",
        ),
    ],
)
def test_what_cannot_be_rendered_is_told(checkpoint, template, row, message):
    with pytest.raises(InputError, match=message):
        render(checkpoint(template=template), "preference_pairs", row)


def test_a_system_message_that_the_template_leaves_out_is_told(checkpoint):
    path = checkpoint(template="{{ messages[-1].content }}")
    row = {"prompt": "w1"}
    assert render(path, "challenge_prompts", row)["prompt"] == "w1"
    with pytest.raises(InputError, match="leaves out the system's message 'w2'"):
        render(path, "challenge_prompts", row, system="w2")


@pytest.mark.parametrize("template", [5, [{"name": "a", "template": "x"}]])
def test_a_template_that_is_no_text_is_told(checkpoint, template):
    path = checkpoint()
    (path / "chat_template.jinja").unlink()
    change_json(path / "tokenizer_config.json", chat_template=template)
    with pytest.raises(InputError, match="chat_template is no text, or several without one named"):
        load_chat(path, None)


def test_the_program_records_the_template_that_rendered(checkpoint, tmp_path, monkeypatch):
    path = checkpoint()
    (tmp_path / "rows.jsonl").write_text(json.dumps({"prompt": "w1 w5"}) + "\n")
    settings = {
        "dataset": "challenge_prompts", "rows": tmp_path / "rows.jsonl", "checkpoint": path,
        "template": "pre", "system": "w2", "threads": 1,
        "output": tmp_path / "chat.jsonl", "source-output": tmp_path / "chat.source.json",
    }  # fmt: skip
    monkeypatch.setattr(
        sys, "argv", ["render_chat", *(f"--{key}={value}" for key, value in settings.items())]
    )
    monkeypatch.setattr(render_chat, "obey_threads", lambda threads: None)
    render_chat.main()
    source = json.loads((tmp_path / "chat.source.json").read_text())
    (row,) = (tmp_path / "chat.jsonl").read_text().splitlines()
    assert source["chat_template"] == load_tokenizer(path).chat_template
    assert source["first_text"] == json.loads(row)["prompt"]
    assert (source["rows"], source["system"]) == (1, "w2")
