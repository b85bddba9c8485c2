"""Conversations as data: a list of messages {role, content} in place of a text."""

from typing import Any

from dpo_neurons.errors import InputError

CHAT_KEYS: dict[str, tuple[str, ...]] = {
    "demonstrations": ("prompt", "answer"),
    "preference_pairs": ("prompt", "chosen", "rejected"),
    "labelled_comments": ("text",),
    "challenge_prompts": ("prompt",),
    "reference_sentences": ("prompt",),
}
"""The keys of each data set that a chat template renders: texts, or lists of messages."""
Message = dict[str, str]
"""role: who speaks, such as system, user or assistant. content: what is said."""


def read_messages(value: list[Any], place: str) -> list[Message]:
    """Read messages; of each, only role and content are kept.

    place: of the list, for the error message.
    Raises InputError for an item that is no message.
    """
    messages: list[Message] = []
    for item in value:
        message = item if isinstance(item, dict) else {}
        role, content = message.get("role"), message.get("content")
        if not (role and is_unicode(role) and is_unicode(content)):
            raise InputError(
                f"{place}: message {len(messages) + 1} of {len(value)} is not of the form "
                '{"role": "user", "content": "…"}; give each a role and a text'
            )
        messages.append({"role": str(role), "content": str(content)})
    return messages


def as_messages(text: str | list[Message]) -> list[Message]:
    """Return a text as a user's message; messages stay as they are."""
    return [{"role": "user", "content": text}] if isinstance(text, str) else text


def messages_to_answer(prompt: str | list[Message]) -> list[Message]:
    """Return a prompt's messages, without answers of the assistant at the end."""
    messages = as_messages(prompt)
    while messages and messages[-1]["role"] == "assistant":
        messages = messages[:-1]
    return messages


def is_blank(value: str | list[Message]) -> bool:
    """Whether a text is blank, or every message of a conversation is."""
    texts = [value] if isinstance(value, str) else [message["content"] for message in value]
    return not any(text.strip() for text in texts)


def is_unicode(value: object) -> bool:
    """Whether a value is a text that UTF-8 can write: JSON can hold half a character, "\\ud800"."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
