"""Whether two tokenizers make the same ids of the same texts, and stand on one vocabulary."""

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from dpo_neurons.errors import InputError
from dpo_neurons.models.tokenization import SAMPLES


def check_one_vocabulary(
    first: PreTrainedTokenizerBase, second: PreTrainedTokenizerBase, checkpoint: Path
) -> list[str]:
    """Check that the ids of two tokenizers stand for the same tokens.

    Tokens that were added, such as a padding token or a reserved one that got a name, may differ:
    returns a sentence about them, if any do. checkpoint: the second one's, for the error message.
    Raises InputError for ordinary tokens that have other ids.
    """
    tokens, others = (
        {number: token for token, number in tokenizer.get_vocab().items()}
        for tokenizer in (first, second)
    )
    added = {*first.added_tokens_decoder, *second.added_tokens_decoder}
    different = [n for n in tokens if n in others and tokens[n] != others[n]]
    ordinary = [number for number in different if number not in added]
    if ordinary:
        number = min(ordinary)
        raise InputError(
            f"{checkpoint}: its tokenizer has another vocabulary than that of the first "
            f"checkpoint ({len(ordinary)} tokens differ; {number} is {others[number]!r} here and "
            f"{tokens[number]!r} there), so the same ids are other texts to the two models; give a "
            "checkpoint that was tuned from the first, with its tokenizer"
        )
    only = sorted({tokens[n] for n in tokens if n not in others or n in different})
    only_there = sorted({others[n] for n in others if n not in tokens or n in different})
    return [
        f"the tokenizer of {stage} alone has {len(names)} tokens, such as {names[0]!r}"
        for stage, names in (("pre", only), ("post", only_there))
        if names
    ]


def describe_differences(
    first: PreTrainedTokenizerBase, second: PreTrainedTokenizerBase
) -> list[str]:
    """Describe how two tokenizers differ: in their parts, and in the ids of a text."""
    sentences = []
    parts, other_parts = _parts(first), _parts(second)
    names = sorted(parts.keys() | other_parts.keys())
    differing = [name for name in names if parts.get(name) != other_parts.get(name)]
    if differing:
        sentences.append(f"the tokenizers differ in {', '.join(differing)}")
    if first.chat_template != second.chat_template:
        sentences.append("the tokenizers have other chat templates, or one has none")
    for sample in SAMPLES:
        ids, other_ids = (tokenizer(sample)["input_ids"] for tokenizer in (first, second))
        if ids != other_ids:
            sentences.append(
                f"{sample!r} is {len(ids)} tokens to that of pre, {_ends(ids)}, and "
                f"{len(other_ids)} to that of post, {_ends(other_ids)}"
            )
            break
    return sentences


def _ends(ids: list[int]) -> str:
    """First and last id of a text, in words."""
    return f"from {ids[0]} to {ids[-1]}" if ids else "no ids"


def _parts(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """What a tokenizer does to a text, by part; its vocabulary is compared elsewhere."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return {}
    parts: dict[str, Any] = json.loads(backend.to_str())
    model = parts.pop("model") or {}
    for ignored in ("version", "truncation", "padding", "decoder", "added_tokens"):
        parts.pop(ignored, None)
    merges = [" ".join(m) if isinstance(m, list) else m for m in model.get("merges") or []]
    return parts | {"merges": merges, "model type": model.get("type")}
