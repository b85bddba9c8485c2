"""What a checkpoint's directory tells of it, read without loading torch or transformers."""

import json
from pathlib import Path
from typing import Any

from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import Architecture, architecture_of_type

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json")
"""Either of them is there; a checkpoint from before safetensors has pytorch_model….bin instead."""


def read_config(checkpoint: Path) -> dict[str, Any]:
    """Read a checkpoint's config.json.

    Raises InputError if the directory is no Hugging Face checkpoint.
    """
    check_links(checkpoint)
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


def read_architecture(checkpoint: Path) -> Architecture:
    """Look up the architecture of a checkpoint by its config.json.

    Raises InputError for a directory that is no checkpoint, a model of no known architecture, or a
    quantised one: its value vectors would be integer codes.
    """
    config = read_config(checkpoint)
    quantisation = config.get("quantization_config") or config.get("compression_config")
    if quantisation:
        described = quantisation if isinstance(quantisation, dict) else {}
        method = described.get("quant_method", "unknown method")
        raise InputError(
            f"{checkpoint}: the weights are quantised ({method}), so value vectors would be "
            "integer codes and not the vectors the model writes; give the checkpoint before "
            "quantisation"
        )
    return architecture_of_type(str(config.get("model_type", "missing")), checkpoint)


def count_layers(checkpoint: Path) -> int:
    """Count a checkpoint's layers, by its config.json.

    Raises InputError if the directory is no Hugging Face checkpoint.
    """
    config = read_config(checkpoint)
    return int(config["num_hidden_layers"] if "num_hidden_layers" in config else config["n_layer"])


def check_links(checkpoint: Path) -> None:
    """Check that a checkpoint, if it or its files are links, is still there.

    Raises InputError for links to what is gone, as is left of a hub's cache that was deleted.
    """
    links = [checkpoint, *(checkpoint.iterdir() if checkpoint.is_dir() else ())]
    for path in sorted(links):
        if path.is_symlink() and not path.exists():
            raise InputError(
                f"{path}: a link to {path.readlink()}, which is gone, as after a hub's cache was "
                "deleted; delete the link and run again, or give a checkpoint that is there"
            )


def check_tokenizer(checkpoint: Path) -> None:
    """Check that a checkpoint has a tokenizer: transformers would make an empty one and go on.

    Raises InputError if it has none.
    """
    if not any((checkpoint / name).is_file() for name in TOKENIZER_FILES):
        raise InputError(
            f"{checkpoint}: no tokenizer in it ({', '.join(TOKENIZER_FILES)}); copy the "
            "tokenizer's files into the checkpoint's directory"
        )


def old_weights(checkpoint: Path) -> list[Path]:
    """The files of a checkpoint whose weights are in PyTorch's own files only; else none.

    Raises InputError if it has weights of neither kind.
    """
    if any((checkpoint / name).is_file() for name in WEIGHT_FILES):
        return []
    old = sorted(checkpoint.glob("pytorch_model*.bin"))
    if not old:
        raise InputError(
            f"{checkpoint}: no weights in it (model.safetensors or pytorch_model.bin, whole or in "
            "parts); fetch or make the checkpoint again"
        )
    return old
