"""A checkpoint's config.json, read without loading transformers."""

import json
from pathlib import Path
from typing import Any

from dpo_neurons.errors import InputError
from dpo_neurons.families import Family, family_of


def read_config(checkpoint: Path) -> dict[str, Any]:
    """Read a checkpoint's config.json.

    Raises InputError if the directory is no Hugging Face checkpoint.
    """
    path = checkpoint / "config.json"
    if not path.is_file():
        raise InputError(
            f"{checkpoint}: no config.json in it; a checkpoint is a directory as written by "
            "save_pretrained, set models.…: {kind: directory, path: …} to one"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); restore the file") from None
    if not isinstance(config, dict):
        raise InputError(f"{path}: holds no JSON object; restore the file")
    return config


def family_of_checkpoint(checkpoint: Path) -> Family:
    """Look up the family of a checkpoint by its config.json.

    Raises InputError for a directory that is no checkpoint, a model of no known family, or a
    quantised one: its value vectors would be integer codes.
    """
    config = read_config(checkpoint)
    if config.get("quantization_config"):
        method = config["quantization_config"].get("quant_method", "unknown method")
        raise InputError(
            f"{checkpoint}: the weights are quantised ({method}), so value vectors would be "
            "integer codes and not the vectors the model writes; give the checkpoint before "
            "quantisation"
        )
    return family_of(config.get("model_type", "missing"), checkpoint)
