"""Saving the checkpoints that the workflow makes, with checksums."""

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpo_neurons.files.output_files import whole_directory
from dpo_neurons.files.provenance import sha256_of, write_source
from dpo_neurons.models.checkpoint_folder import GENERATION_CONFIG

if TYPE_CHECKING:  # keeps programs that only link to files from loading transformers
    from transformers import PreTrainedModel

WEIGHT_ENDINGS = (".safetensors", ".bin", ".index.json", ".pt", ".pth", ".h5", ".msgpack", ".gguf")
"""Endings of weight files. A tuned checkpoint gets all other files of the first one."""


def save_checkpoint(
    model: "PreTrainedModel", like: Path, output: Path, source: Path, **facts: str | dict[str, str]
) -> None:
    """Write a model as `write_checkpoint` does, and its source file.

    facts: of the source file, `kind` among them; checksums and a revision are added.
    """
    write_checkpoint(model, like, output)
    write_source(source, {**facts, **files_and_revision(output)})


def write_checkpoint(
    model: "PreTrainedModel", like: Path, output: Path, card: str | None = None
) -> None:
    """Write a model with the tokenizer files of the checkpoint `like`.

    The tokenizer's files and the decoding defaults are copied byte for byte. Both checkpoints then
    tokenize text alike and end it at the same tokens. card: the text of a README.md of its own.
    """
    with whole_directory(output) as partial:
        for file in _visible_files(like):
            if not file.name.endswith(WEIGHT_ENDINGS):
                shutil.copyfile(file, partial / file.name)
        model.save_pretrained(partial)
        # The model's own defaults were changed by trl, or come from no checkpoint at all.
        (partial / GENERATION_CONFIG).unlink(missing_ok=True)
        if (like / GENERATION_CONFIG).is_file():
            shutil.copyfile(like / GENERATION_CONFIG, partial / GENERATION_CONFIG)
        if card is not None:
            (partial / "README.md").write_text(card, encoding="utf-8")


def files_and_revision(checkpoint: Path) -> dict[str, Any]:
    """Facts of a source file: `files`, checksums by name, and their `revision`.

    The revision is a checksum of the names and checksums of all files.
    """
    files = checksums(checkpoint)
    together = "\n".join(f"{name} {checksum}" for name, checksum in files.items())
    return {"files": files, "revision": f"sha256:{hashlib.sha256(together.encode()).hexdigest()}"}


def checksums(directory: Path) -> dict[str, str]:
    """Compute the sha256 of each file of a directory, by name; not of hidden files."""
    return {file.name: sha256_of(file) for file in _visible_files(directory)}


def _visible_files(directory: Path) -> list[Path]:
    # Hidden files are Snakemake's time stamps, or git's.
    return sorted(
        file for file in directory.iterdir() if file.is_file() and not file.name.startswith(".")
    )
