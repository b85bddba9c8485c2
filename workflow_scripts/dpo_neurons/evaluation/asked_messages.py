"""What a model was asked, before its chat template rendered it: to that a guard judges answers."""

from pathlib import Path

from dpo_neurons.errors import InputError
from dpo_neurons.files.jsonl import read_jsonl
from dpo_neurons.study.datasets import read_conversations
from dpo_neurons.study.messages import Message, messages_to_answer


def read_asked_messages(messages: Path, rendered: Path) -> dict[str, list[Message]]:
    """Read the messages of challenge prompts, by the text that a chat template made of them.

    messages: the data set. rendered: the same rows, rendered. System messages are left out where
    others are: the chat templates of guards have a place for users and assistants only.
    Raises InputError for files of different lengths, and for files that are damaged.
    """
    asked = [row["prompt"] for _, row in read_conversations(messages, "challenge_prompts")]
    prompts = [row["prompt"] for row in read_jsonl(rendered, ("prompt",))]
    if len(asked) != len(prompts):
        raise InputError(
            f"{rendered}: has {len(prompts)} rows, and {messages} has {len(asked)}; delete it and "
            "run again"
        )
    conversations = [messages_to_answer(text) for text in asked]
    return {
        prompt: [message for message in conversation if message["role"] != "system"] or conversation
        for prompt, conversation in zip(prompts, conversations, strict=True)
    }
