"""Source files: where each data set and checkpoint of a study came from, with checksums."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from dpo_neurons.errors import InputError
from dpo_neurons.files.json_text import read_json
from dpo_neurons.files.output_files import write_text

ENDING = ".source.json"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in 64 hexadecimal digits."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write_source(path: Path, facts: dict[str, Any]) -> None:
    """Write the facts about one data set or checkpoint; the same facts give the same bytes.

    Always: kind. As they apply: path, or repository and revision; files {name: sha256}, those of a
    checkpoint or those that a data set was read from; given {name: sha256}, the user's files that a
    checkpoint was made from; same_as, the model and stage, such as toy/pre, whose checkpoint it is;
    rows; rows_left_out {reason: rows}; sha256 of the data set's file.
    """
    text = json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False)
    write_text(path, text + "\n")


def read_source(path: Path) -> dict[str, Any]:
    """Read what `write_source` wrote.

    Raises InputError for a file that is missing, damaged or without a kind.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file; run the workflow again to make it")
    facts = read_json(path, "the file is damaged, so delete it and run again")
    if not isinstance(facts.get("kind"), str):
        raise InputError(
            f"{path}: damaged, not the description of a source; delete it and run again"
        )
    return facts


def check_as_recorded(path: Path, threads: int = 1) -> None:
    """Check a data set or a checkpoint, byte for byte, against its source file, if it has one.

    No other check can see a flipped bit in a text or a weight. threads: files read at a time.
    Raises InputError for a file that is not as recorded, and for a damaged source file.
    """
    directory = path.is_dir()
    source = path.with_name(path.name + ENDING) if directory else path.with_suffix(ENDING)
    if not source.is_file():
        return
    facts = read_source(source)
    recorded = facts.get("files", {}) if directory else {"": facts.get("sha256")}
    files = {path / name: checksum for name, checksum in recorded.items()}
    with ThreadPoolExecutor(threads) as pool:
        for file, checksum in zip(files, pool.map(_checksum_or_none, files), strict=True):
            if checksum != files[file]:
                state = "missing" if checksum is None else "damaged or was changed"
                raise InputError(
                    f"{file}: {state} since its checksum was written to {source}; put the file "
                    f"back, or delete {source} and run again"
                )


def _checksum_or_none(file: Path) -> str | None:
    if not file.is_file():
        return None
    status = file.stat()
    return _checksum(file, status.st_size, status.st_mtime_ns)


@cache
def _checksum(file: Path, size: int, modified: int) -> str:
    # Cached: some programs read a checkpoint twice, and gigabytes take seconds.
    return sha256_of(file)
