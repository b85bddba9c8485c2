"""JSON files: each kind of damage is one sentence, and our own results carry a checksum."""

import hashlib
import json
from pathlib import Path
from typing import Any

from dpo_neurons.errors import InputError
from dpo_neurons.files.file_faults import describe_fault
from dpo_neurons.files.output_files import write_text

LARGEST_BYTES = 256 * 2**20
"""No description of a model, index of weights or source is larger; a tokenizer has 20 MB."""

CHECKSUM = "checksum"
"""Key of a result that holds the checksum of its other keys."""


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Read a JSON object from a file.

    remedy: what the user does about a damaged file, such as "restore the file".
    Raises InputError if the file is missing, unreadable, too large, damaged or holds no object.
    """
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= LARGEST_BYTES else b""
    except OSError as error:
        raise InputError(describe_fault(error, path) or f"{path}: {error}; {remedy}") from None
    if size > LARGEST_BYTES:
        raise InputError(f"{path}: {size} bytes are too many for such a file; {remedy}")
    value = parse_json(content, str(path), remedy)
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds a JSON {type(value).__name__}, no object; {remedy}")
    return value


def parse_json(content: bytes, where: str, remedy: str) -> Any:  # noqa: ANN401 - any JSON
    """Parse JSON in UTF-8; a byte-order mark before it is skipped.

    where: the file, or the file and the line, for error messages.
    Raises InputError if the content is not UTF-8, no JSON, nested too deeply or too large, or if
    an object has one key twice.
    """
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_unique_keys)
    except UnicodeDecodeError:
        raise InputError(
            f"{where}: not UTF-8; save the file in that encoding, or {remedy}"
        ) from None
    except json.JSONDecodeError as error:
        position = f", line {error.lineno}, column {error.colno}" if error.lineno > 1 else ""
        raise InputError(f"{where}{position}: not valid JSON ({error.msg}); {remedy}") from None
    except _DuplicateKeyError as error:
        raise InputError(f"{where}: the key {error.key!r} stands twice; {remedy}") from None
    except RecursionError:
        raise InputError(f"{where}: not valid JSON (nested too deeply); {remedy}") from None
    except ValueError:  # Python reads no integer of more than 4300 digits
        raise InputError(
            f"{where}: not valid JSON (a number has too many digits); {remedy}"
        ) from None
    except MemoryError:
        raise InputError(f"{where}: too large for this machine's memory; {remedy}") from None


def write_checked_json(path: Path, facts: dict[str, Any]) -> None:
    """Write a JSON object with a checksum of its content under the key `checksum`."""
    write_text(path, json.dumps({**facts, CHECKSUM: _checksum(facts)}) + "\n")


def read_checked_json(path: Path, remedy: str) -> dict[str, Any]:
    """Read what `write_checked_json` wrote, without the checksum.

    Raises InputError as `read_json` does, and for a checksum that is missing or does not fit.
    """
    facts = read_json(path, remedy)
    checksum = facts.pop(CHECKSUM, None)
    if checksum is None:
        raise InputError(f"{path}: damaged or of an earlier version, without checksum; {remedy}")
    if checksum != _checksum(facts):
        raise InputError(f"{path}: damaged, its checksum does not fit its content; {remedy}")
    return facts


def _checksum(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class _DuplicateKeyError(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _DuplicateKeyError(next(key for key in keys if keys.count(key) > 1))
    return values


def script_json(content: object) -> str:
    """Write JSON for a script element of a page: no text in it can end the element."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
