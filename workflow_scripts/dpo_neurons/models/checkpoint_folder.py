"""What the folder of a checkpoint says of it, read without loading torch or transformers."""

from pathlib import Path
from typing import Any

from dpo_neurons.errors import InputError
from dpo_neurons.files.json_text import read_json
from dpo_neurons.models.architectures import Architecture, architecture_of_type
from dpo_neurons.models.weight_files import (
    OLD_INDEX,
    OLD_SINGLE,
    check_one_set_of_weights,
    read_headers,
    read_index,
)

TOKENIZER_JSON = "tokenizer.json"
TOKENIZER_FILES = (TOKENIZER_JSON, "tokenizer.model", "vocab.json", "vocab.txt")
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json")
"""Either of them is there; a checkpoint from before safetensors has pytorch_model….bin instead."""
GENERATION_CONFIG = "generation_config.json"
"""Decoding defaults; transformers reads it along with the weights."""
ADAPTER_CONFIG = "adapter_config.json"
"""Where it lies, transformers attaches the adapter beside it to the model that it loads."""
OTHER_WEIGHTS = ("transformers_weights", "fusion_config")
"""Keys of config.json by which transformers reads other files, or other tensors, than the usual."""
DISTRIBUTED_WEIGHTS = "shard-*-model-*-of-*.safetensors"
"""Files that transformers reads before any other; distributed training writes them."""


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
    return read_json(path, "restore the file")


def read_architecture(checkpoint: Path) -> Architecture:
    """Look up the architecture of a checkpoint by its config.json.

    Raises InputError for a directory that is no checkpoint, one with an adapter beside or instead
    of the model, a model of no known architecture, or a quantised one: its value vectors would be
    integer codes.
    """
    check_no_other_weights(checkpoint)
    config = read_config(checkpoint)
    for key in OTHER_WEIGHTS:
        if config.get(key) is not None:
            raise InputError(
                f"{checkpoint / 'config.json'}: {key} makes transformers read other weights than "
                "those that value vectors are read from; load the model with transformers, save "
                "it with save_pretrained and take the key out"
            )
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


def check_no_other_weights(checkpoint: Path) -> None:
    """Check that no adapter and no second set of weights lies in a checkpoint's folder.

    transformers would attach the adapter to the whole weights, which may have it already, and value
    vectors are read without it.
    Raises InputError for an adapter beside or instead of whole weights, and for the shards of
    distributed training beside whole weights.
    """
    config = [file for file in [checkpoint / ADAPTER_CONFIG] if file.exists()]
    weights = sorted(checkpoint.glob("adapter_model*"))
    whole = [file.name for file in _whole_weights(checkpoint)]
    distributed = sorted(checkpoint.glob(DISTRIBUTED_WEIGHTS))
    if whole and distributed:
        raise InputError(
            f"{checkpoint}: holds {whole[0]} and {distributed[0].name}, which are two sets of "
            "weights; remove the set that is not the model's"
        )
    if whole and (config or weights):
        raise InputError(
            f"{checkpoint}: holds whole weights ({whole[0]}) and an adapter "
            f"({(config + weights)[0].name}), which may be in the weights already; if it is, move "
            "the adapter_… files elsewhere, else give them as post: {kind: adapter, path: …}"
        )
    if config and weights:
        raise InputError(
            f"{checkpoint}: holds an adapter and no whole model; give the model that it was "
            "trained on as pre, and the adapter as post: {kind: adapter, path: …}"
        )


def check_weight_files(checkpoint: Path) -> None:
    """Check that the files of a checkpoint hold one set of weights, by index and headers.

    Raises InputError for weights that are missing or damaged, an index that names a file outside
    the folder or disagrees with its files, and two sets of weights side by side.
    """
    old = old_weights(checkpoint)
    if not old:
        read_headers(checkpoint)
    elif (checkpoint / OLD_INDEX).is_file():
        places = read_index(checkpoint, OLD_INDEX)
        if (checkpoint / OLD_SINGLE).is_file():
            check_one_set_of_weights(checkpoint, OLD_SINGLE, OLD_INDEX, places)
    elif not (checkpoint / OLD_SINGLE).is_file():
        raise InputError(
            f"{checkpoint}: holds {old[0].name}, and neither {OLD_SINGLE} nor {OLD_INDEX}, which "
            "says where each tensor lies; fetch the whole checkpoint again"
        )


def _whole_weights(checkpoint: Path) -> list[Path]:
    files = [checkpoint / name for name in WEIGHT_FILES]
    return [*(file for file in files if file.is_file()), *checkpoint.glob("pytorch_model*.bin")]


def count_layers(checkpoint: Path) -> int:
    """Count a checkpoint's layers, by its config.json.

    Raises InputError if the directory is no Hugging Face checkpoint, or does not say it.
    """
    return _read_count(checkpoint, ("num_hidden_layers", "n_layer"))


def count_heads(checkpoint: Path) -> int:
    """Count the heads of attention of each layer, by a checkpoint's config.json.

    Raises InputError if the directory is no Hugging Face checkpoint, or does not say it.
    """
    return _read_count(checkpoint, ("num_attention_heads", "n_head"))


def _read_count(checkpoint: Path, keys: tuple[str, str]) -> int:
    """Read a whole number from config.json, under the first of two names that it has."""
    config = read_config(checkpoint)
    count = next((config[key] for key in keys if key in config), None)
    if not isinstance(count, int):
        raise InputError(
            f"{checkpoint / 'config.json'}: neither {keys[0]} nor {keys[1]} is a whole number; add "
            "the one that this kind of model has"
        )
    return count


def check_links(checkpoint: Path) -> None:
    """Check that the links in a checkpoint's folder, and to it, lead to files.

    Raises InputError for a broken link, such as one into a hub's cache that was deleted.
    """
    links = [checkpoint, *(checkpoint.iterdir() if checkpoint.is_dir() else ())]
    for path in sorted(links):
        if path.is_symlink() and not path.exists():
            raise InputError(
                f"{path}: a link to {path.readlink()}, which is gone, as after a hub's cache was "
                "deleted; delete the link and run again, or give a checkpoint that is there"
            )


def check_tokenizer(checkpoint: Path) -> None:
    """Check that a checkpoint has a tokenizer; without one, transformers makes an empty one.

    Raises InputError if it has none.
    """
    if not any((checkpoint / name).is_file() for name in TOKENIZER_FILES):
        raise InputError(
            f"{checkpoint}: no tokenizer in it ({', '.join(TOKENIZER_FILES)}); copy the "
            "tokenizer's files into the checkpoint's directory"
        )


def old_weights(checkpoint: Path) -> list[Path]:
    """List a checkpoint's pytorch_model….bin files; none where it has safetensors.

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
