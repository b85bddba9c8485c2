"""Texts as a chat template renders them: once for each model, so that all programs read the same.

A text is a user's message unless it is a list of messages already.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from dpo_neurons.errors import InputError
from dpo_neurons.models.loading import load_tokenizer
from dpo_neurons.models.tokenization import SHOWN
from dpo_neurons.study.datasets import RENDERED
from dpo_neurons.study.messages import Message, as_messages, messages_to_answer

TODAY = datetime(2024, 7, 26)
"""The date for templates that write today's: a prompt must not depend on the day of the run."""
_ASKS_FOR_DATE = re.compile(r"""strftime_now\(\s*(["'])(.*?)\1\s*\)""")
RENDERING_ERRORS = (
    TemplateError, TypeError, ValueError, LookupError, ArithmeticError, RecursionError
)  # fmt: skip
"""What a template raises, which is a program, beside jinja's own errors."""
ANSWERS = {"preference_pairs": ("chosen", "rejected"), "demonstrations": ("answer",)}
"""The keys of each data set that answer its prompt."""


@dataclass(frozen=True)
class Chat:
    """How a model's conversations are written."""

    tokenizer: PreTrainedTokenizerBase
    """Its special tokens are the template's."""
    template: str
    """The chat template that renders, in Jinja."""
    system: str | None
    """The system message of conversations that have none."""

    def render(self, messages: list[Message], place: str, open_answer: bool) -> str:
        """Write a conversation as text; place: of the conversation, for the error message.

        open_answer: whether to end with the generation prompt, after which the model answers.
        Raises InputError for messages that the template refuses, and for a system's or a user's
        message that it leaves out: the last of the user's, for templates may shorten others.
        """
        if self.system is not None and messages[0]["role"] != "system":
            messages = [{"role": "system", "content": self.system}, *messages]
        try:
            text = str(
                self.tokenizer.apply_chat_template(
                    messages,
                    chat_template=self.template,
                    tokenize=False,
                    add_generation_prompt=open_answer,
                )
            )
        except RENDERING_ERRORS as error:
            raise InputError(
                f"{place}: the chat template of {self.tokenizer.name_or_path} refuses the messages "
                f"({' '.join(str(error).split())}); change them, or models.….chat.system"
            ) from error
        system = [message for message in messages if message["role"] == "system"]
        asked = [message for message in messages if message["role"] == "user"][-1:]
        for message in (*system, *asked):
            if message["content"].strip() not in text:
                raise InputError(
                    f"{place}: the chat template of {self.tokenizer.name_or_path} leaves out the "
                    f"{message['role']}'s message {message['content'][:SHOWN]!r}; take it out of "
                    "models.….chat.system or of the data, or give the model's own template"
                )
        return text

    def render_prompt(self, prompt: str | list[Message], place: str) -> tuple[str, list[Message]]:
        """Write a prompt with the generation prompt; return it and its messages.

        Of a conversation that ends with the assistant's answer, the prompt is what comes before.
        Raises InputError if nothing does.
        """
        messages = messages_to_answer(prompt)
        if not messages:
            raise InputError(f"{place}: prompt has no message to answer; give a user's message")
        return self.render(messages, place, open_answer=True), messages

    def render_answer(
        self, answer: str | list[Message], messages: list[Message], rendered: str, place: str
    ) -> str:
        """Write an answer as it follows its prompt, with the tokens that end the turn.

        answer: a text, or messages, which may begin with those of the prompt. messages and
        rendered: the prompt, as `render_prompt` returns it. White space after the end is left out.
        Raises InputError for an answer of several messages, and for a template that leaves it out
        or changes the prompt once it is answered.
        """
        turn = [{"role": "assistant", "content": answer}] if isinstance(answer, str) else answer
        if turn[: len(messages)] == messages:
            turn = turn[len(messages) :]
        if [message["role"] for message in turn] != ["assistant"]:
            raise InputError(
                f"{place} is not one answer of the assistant to the prompt's messages; give a "
                "text, one message, or the conversation that begins with the prompt"
            )
        whole = self.render([*messages, *turn], place, open_answer=False)
        if not whole.startswith(rendered):
            raise InputError(
                f"{place}: the chat template of {self.tokenizer.name_or_path} writes the prompt in "
                "another way once it is answered, so no answer can be cut out; leave chat out"
            )
        written = whole[len(rendered) :].rstrip()
        if not written:
            raise InputError(
                f"{place}: the chat template of {self.tokenizer.name_or_path} leaves out the "
                "answer; give the model's own template, or leave chat out"
            )
        return written


def load_chat(checkpoint: Path, system: str | None) -> Chat:
    """Load the chat template of a checkpoint.

    Raises InputError for a checkpoint that has none, or several and no default.
    """
    tokenizer = load_tokenizer(checkpoint)
    if not tokenizer.chat_template:
        raise InputError(
            f"{checkpoint}: its tokenizer has no chat template, which models.….chat needs; leave "
            "chat out, or set chat.template to the checkpoint (pre or post) that has one"
        )
    template: Any = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    if not isinstance(template, str):
        raise InputError(
            f"{checkpoint}: its tokenizer's chat_template is no text, or several without one named "
            "default; write the one to use into chat_template.jinja"
        )
    return Chat(tokenizer, fix_date(template), system)


def fix_date(template: str) -> str:
    """Write a fixed date in place of today's into a chat template."""
    return _ASKS_FOR_DATE.sub(lambda asks: repr(TODAY.strftime(asks[2])), template)


def render_rows(
    chat: Chat, dataset: str, rows: Iterable[tuple[str, dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Render the texts of a data set: its rows, marked as RENDERED, other values unchanged.

    rows: each with its place, from `read_conversations`. A labelled text that ends with the
    assistant's answer is a whole conversation; others end with the generation prompt.
    Raises InputError, naming the place, for messages that cannot be rendered.
    """
    rendered = []
    for place, row in rows:
        if dataset == "labelled_comments":
            messages = as_messages(row["text"])
            is_open = messages[-1]["role"] != "assistant"
            texts = {"text": chat.render(messages, place, is_open)}
        else:
            prompt, messages = chat.render_prompt(row["prompt"], place)
            texts = {"prompt": prompt}
            for key in ANSWERS.get(dataset, ()):
                answered = f"{place}: {key}"
                texts[key] = chat.render_answer(row[key], messages, prompt, answered)
        rendered.append({**row, **texts, RENDERED: True})
    return rendered
