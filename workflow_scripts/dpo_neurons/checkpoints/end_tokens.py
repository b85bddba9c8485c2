"""The tokens that end a text, by all that a checkpoint's files say."""

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from dpo_neurons.errors import InputError
from dpo_neurons.files.json_text import read_json
from dpo_neurons.models.checkpoint_folder import GENERATION_CONFIG, read_config


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
        described = read_json(generation, "restore the file")
        named[GENERATION_CONFIG] = _ids(described.get("eos_token_id"), generation)
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
