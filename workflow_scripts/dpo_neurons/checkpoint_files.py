"""The files of a checkpoint that the workflow makes, and the facts that tell which it is."""

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpo_neurons.output_files import whole_directory
from dpo_neurons.provenance import sha256_of, write_source

if TYPE_CHECKING:  # keeps programs that only link to files from loading transformers
    from transformers import PreTrainedModel

LEFT_BEHIND = (".safetensors", ".bin", ".index.json")
"""Endings of weights, which are saved anew; all else of a checkpoint goes with a tuned one."""


def save_checkpoint(
    model: "PreTrainedModel", like: Path, output: Path, source: Path, **facts: str
) -> None:
    """Write a model with the tokenizer files of the checkpoint `like`, and its source file.

    The tokenizer's files are copied byte for byte: both checkpoints read text alike.
    """
    with whole_directory(output) as partial:
        for file in _files(like):
            if not file.name.endswith(LEFT_BEHIND):
                shutil.copyfile(file, partial / file.name)
        model.save_pretrained(partial)
    write_source(source, {**facts, **files_and_revision(output)})


def files_and_revision(checkpoint: Path) -> dict[str, Any]:
    """Checksums of a checkpoint's files by name, and a revision that stands for all of them."""
    files = {file.name: sha256_of(file) for file in _files(checkpoint)}
    together = "\n".join(f"{name} {checksum}" for name, checksum in files.items())
    return {"files": files, "revision": f"sha256:{hashlib.sha256(together.encode()).hexdigest()}"}


def _files(checkpoint: Path) -> list[Path]:
    # Hidden ones are Snakemake's time stamps, or git's.
    return sorted(
        file for file in checkpoint.iterdir() if file.is_file() and not file.name.startswith(".")
    )
