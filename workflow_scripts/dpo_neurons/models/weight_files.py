"""The weight files of a checkpoint: where each tensor lies and what its header says.

Only headers and the index are read. No tensor is read, and neither torch nor transformers is
loaded.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from dpo_neurons.errors import InputError
from dpo_neurons.files.json_text import read_json

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
OLD_SINGLE = "pytorch_model.bin"
OLD_INDEX = "pytorch_model.bin.index.json"
BUFFERS = re.compile(
    r"\.attn\.(masked_)?bias$|\.rotary_emb\.inv_freq$|\.attention\.(masked_)?bias$"
)
"""Names of constants that older versions of transformers stored along with the weights."""


@dataclass(frozen=True)
class TensorHeader:
    """What a weight file says of one of its tensors."""

    file: Path
    dtype: str
    """As safetensors spells it: F32, BF16, F16, F64, I8, …"""
    shape: tuple[int, ...]


def locate_tensors(checkpoint: Path) -> dict[str, Path]:
    """Find the safetensors file of each tensor, by the tensor's name.

    Raises InputError for a checkpoint without safetensors, an index that is damaged or names a
    file outside the checkpoint, and an index beside a single file that it does not describe.
    """
    single = checkpoint / SINGLE
    if (checkpoint / INDEX).is_file():
        places = read_index(checkpoint, INDEX)
        if single.is_file():
            check_one_set_of_weights(checkpoint, SINGLE, INDEX, places)
        return places
    if not single.is_file():
        raise InputError(
            f"{checkpoint}: no model.safetensors in it; load the model with transformers and "
            "save it again with save_pretrained"
        )
    with open_tensors(single) as tensors:
        return dict.fromkeys(tensors.keys(), single)


def read_headers(checkpoint: Path) -> dict[str, TensorHeader]:
    """Read the header of each tensor of a checkpoint, by the tensor's name.

    Raises InputError as `locate_tensors` does, and where an index and its files disagree: a tensor
    that is missing, that lies in two files or that the index does not name.
    """
    places = locate_tensors(checkpoint)
    headers: dict[str, TensorHeader] = {}
    for file in sorted(set(places.values())):
        with open_tensors(file) as tensors:
            names = list(tensors.keys())
            for name in names:
                if places.get(name) != file:
                    where = "in another file" if name in places else "nowhere"
                    raise InputError(
                        f"{file}: holds {name}, which {INDEX} says is {where}, so two programs may "
                        "read different weights; fetch or make the checkpoint again"
                    )
                part = tensors.get_slice(name)
                headers[name] = TensorHeader(file, part.get_dtype(), tuple(part.get_shape()))
    for name, file in places.items():
        if name not in headers:
            raise lacking_tensor(file, name)
    return headers


def read_index(checkpoint: Path, index_name: str) -> dict[str, Path]:
    """Read the file of each tensor from an index.

    Raises InputError for a damaged index and for one that names a file outside the checkpoint.
    """
    index = checkpoint / index_name
    content = read_json(index, "fetch the checkpoint again")
    # transformers adds to the metadata.
    for key in ("weight_map", "metadata"):
        if not isinstance(content.get(key), dict):
            raise InputError(
                f"{index}: the key {key!r} holds no JSON object; fetch the checkpoint again"
            )
    files = content["weight_map"]
    for name, file in files.items():
        if not isinstance(file, str) or not file.isprintable():
            raise InputError(
                f"{index}: weight_map.{name} is {file!r}, the name of no file; fetch the "
                "checkpoint again"
            )
    for file in sorted(set(files.values())):
        _check_inside(checkpoint, file, index)
    return {name: checkpoint / file for name, file in files.items()}


def check_one_set_of_weights(
    checkpoint: Path, single_name: str, index_name: str, places: Mapping[str, Path]
) -> None:
    """Check that an index beside a single weight file speaks of that file alone.

    places: the index, of `read_index`. transformers reads the single file, other programs the
    index. Raises InputError if the index names other files.
    """
    if set(places.values()) != {checkpoint / single_name}:
        raise InputError(
            f"{checkpoint}: holds {single_name} and {index_name}, which names other files, so it "
            "has two sets of weights; remove the set that is not the model's"
        )


def open_tensors(file: Path) -> safe_open:
    """Open a safetensors file, for a `with` block; its tensors are read when asked for.

    Raises InputError for a file that is missing or damaged.
    """
    if not file.is_file():
        raise unreadable_file(file, FileNotFoundError("no such file"))
    try:
        return safe_open(file, framework="np")
    except (OSError, SafetensorError) as error:
        raise unreadable_file(file, error) from error


def unreadable_file(file: Path, error: Exception) -> InputError:
    """Make the error for a weight file that cannot be opened."""
    return InputError(
        f"{file}: cannot be read ({error}); the file is damaged or missing, fetch or make the "
        "checkpoint again"
    )


def lacking_tensor(file: Path, name: str) -> InputError:
    """Make the error for a tensor that the index promises and the file lacks."""
    return InputError(
        f"{file}: lacks {name}, which {INDEX} says is there; fetch or make the checkpoint again"
    )


def _check_inside(checkpoint: Path, file: str, index: Path) -> None:
    """Raise InputError for a file, as an index names it, that is not in the checkpoint's folder.

    The hub's cache keeps a snapshot's files as links into the folder `blobs` beside `snapshots`.
    """
    folder = checkpoint.resolve()
    target = (folder / file).resolve()
    blobs = folder.parent.parent / "blobs"
    if Path(file).name != file or target.parent not in (folder, blobs):
        raise InputError(
            f"{index}: names {file!r}, which lies outside the checkpoint's folder ({target}); copy "
            "the file into the folder and name it alone, or fetch the checkpoint again"
        )
