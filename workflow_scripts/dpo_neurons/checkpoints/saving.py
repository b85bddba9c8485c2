"""The files of a checkpoint that the workflow makes, and the facts that tell which it is."""

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpo_neurons.files.output_files import whole_directory
from dpo_neurons.files.provenance import sha256_of, write_source

if TYPE_CHECKING:  # keeps programs that only link to files from loading transformers
    from transformers import PreTrainedModel

LEFT_BEHIND = (".safetensors", ".bin", ".index.json", ".pt", ".pth", ".h5", ".msgpack", ".gguf")
"""Endings of weights, which are saved anew; all else of a checkpoint goes with a tuned one."""
DECODING = "generation_config.json"


def save_checkpoint(
    model: "PreTrainedModel", like: Path, output: Path, source: Path, **facts: str | dict[str, str]
) -> None:
    """Write a model as `write_checkpoint` does, and its source file."""
    write_checkpoint(model, like, output)
    write_source(source, {**facts, **files_and_revision(output)})


def write_checkpoint(model: "PreTrainedModel", like: Path, output: Path) -> None:
    """Write a model with the tokenizer files of the checkpoint `like`.

    The tokenizer's files and the decoding defaults are copied byte for byte: both checkpoints
    read text alike and end it at the same tokens.
    """
    with whole_directory(output) as partial:
        for file in _files(like):
            if not file.name.endswith(LEFT_BEHIND):
                shutil.copyfile(file, partial / file.name)
        model.save_pretrained(partial)
        # What trl aligned with the tokenizer, or a state dict does not know, is not kept.
        (partial / DECODING).unlink(missing_ok=True)
        if (like / DECODING).is_file():
            shutil.copyfile(like / DECODING, partial / DECODING)


def files_and_revision(checkpoint: Path) -> dict[str, Any]:
    """Checksums of a checkpoint's files by name, and a revision that stands for all of them."""
    files = checksums(checkpoint)
    together = "\n".join(f"{name} {checksum}" for name, checksum in files.items())
    return {"files": files, "revision": f"sha256:{hashlib.sha256(together.encode()).hexdigest()}"}


def checksums(directory: Path) -> dict[str, str]:
    """sha256 of each of a directory's files by name, hidden ones left out."""
    return {file.name: sha256_of(file) for file in _files(directory)}


def _files(checkpoint: Path) -> list[Path]:
    # Hidden ones are Snakemake's time stamps, or git's.
    return sorted(
        file for file in checkpoint.iterdir() if file.is_file() and not file.name.startswith(".")
    )
