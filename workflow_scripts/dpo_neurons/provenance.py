"""Where a study's data sets and checkpoints came from: a small source file beside each of them."""

import hashlib
import json
from pathlib import Path
from typing import Any

from dpo_neurons.errors import InputError
from dpo_neurons.output_files import whole_file


def sha256_of(path: Path) -> str:
    """Checksum of a file's bytes, in 64 hexadecimal digits, read a piece at a time."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write_source(path: Path, facts: dict[str, Any]) -> None:
    """Write the facts about one data set or checkpoint; the same facts give the same bytes.

    `kind` is always among them; then, as they apply, path or repository and revision, files
    {name: sha256}, rows, rows_left_out {reason: rows} and sha256, that of the file described.
    """
    text = json.dumps(facts, indent=2, sort_keys=True, ensure_ascii=False)
    with whole_file(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def read_source(path: Path) -> dict[str, Any]:
    """Read what `write_source` wrote.

    Raises InputError for a file that is missing, damaged or says no kind.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run the workflow again to make it") from None
    except ValueError:  # neither UTF-8 nor JSON
        facts = None
    if not isinstance(facts, dict) or not isinstance(facts.get("kind"), str):
        raise InputError(
            f"{path}: damaged, not the description of a source; delete it and run again"
        )
    return facts
