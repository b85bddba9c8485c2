"""Checksums of text files, in a hidden file beside each: lines lost at an end leave no trace."""

import hashlib
import logging
from pathlib import Path

from dpo_neurons.errors import InputError
from dpo_neurons.files.output_files import write_text
from dpo_neurons.files.provenance import sha256_of

log = logging.getLogger("dpo_neurons")


def checksum_path(path: Path) -> Path:
    """Path of the checksum of a text file, which the format itself has no place for."""
    return path.with_name(f".{path.name}.sha256")


def record_checksum(written: Path, path: Path) -> None:
    """Write the checksum of a file that has been written and will be moved to `path`."""
    write_text(checksum_path(path), f"{sha256_of(written)}  {path.name}\n")


def check_as_written(path: Path, content: bytes | None = None) -> None:
    """Compare a file's content with the checksum beside it.

    content: what was read from the file; without it, the file is read again. Where a copy left the
    checksum's hidden file behind, the file is taken as it is, with a warning.
    Raises InputError if it is not as the workflow wrote it.
    """
    recorded = checksum_path(path)
    if not recorded.is_file():
        log.warning(
            "%s: read unchecked, for %s is not beside it; copy hidden files too, or delete the "
            "file and run again",
            path, recorded.name,
        )  # fmt: skip
        return
    checksum = sha256_of(path) if content is None else hashlib.sha256(content).hexdigest()
    if recorded.read_bytes().split(maxsplit=1)[:1] != [checksum.encode()]:
        raise InputError(
            f"{path}: not as it was written: damaged, cut off or changed since; delete it and "
            "run again"
        )
