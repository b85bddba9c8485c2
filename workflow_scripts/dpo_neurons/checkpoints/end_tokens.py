"""The tokens that end a text, by all that a checkpoint's files say."""

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from dpo_neurons.errors import InputError
from dpo_neurons.models.checkpoint_folder import read_config

GENERATION_CONFIG = "generation_config.json"


def read_end_tokens(checkpoint: Path, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """Read the end tokens that a checkpoint names, by what names them, ids in order.

    Named by "tokenizer", "config.json" and "generation_config.json"; whatever names none is left
    out. transformers' defaults are no part of it: they are those of the first model of a family.
    Raises InputError for end tokens that are no ids.
    """
    named = {"tokenizer": _ids(tokenizer.eos_token_id, checkpoint)}
    named["config.json"] = _ids(
        read_config(checkpoint).get("eos_token_id"), checkpoint / "config.json"
    )
    generation = checkpoint / GENERATION_CONFIG
    if generation.is_file():
        named[GENERATION_CONFIG] = _ids(_read_object(generation).get("eos_token_id"), generation)
    return {source: ids for source, ids in named.items() if ids}


def _ids(value: object, where: Path) -> list[int]:
    """Token ids from one id, a list of them or none; raises InputError for anything else."""
    values = value if isinstance(value, list) else [] if value is None else [value]
    for token in values:
        if not isinstance(token, int) or isinstance(token, bool) or token < 0:
            raise InputError(
                f"{where}: eos_token_id is {value!r}, not a token's id or a list of them; set it "
                "to the id of the token that ends texts"
            )
    return sorted(set(values))


def _read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises InputError for a file that holds none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no JSON object; restore the file")
    return content
