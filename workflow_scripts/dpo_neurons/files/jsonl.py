"""JSON-lines files: prompts, reference sentences, preference pairs, continuations."""

import codecs
import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from dpo_neurons.errors import InputError
from dpo_neurons.files.checksums import check_as_written, record_checksum
from dpo_neurons.files.json_text import parse_json
from dpo_neurons.files.output_files import whole_file


def read_jsonl(path: Path, keys: Collection[str]) -> list[dict[str, Any]]:
    """Read one object per line, each with text under `keys`; skip blank lines.

    A byte-order mark is skipped. Raises InputError, naming file and line, for a missing file, a
    line that is no JSON object, a key given twice, a key without text, a file without lines, or one
    that is not as `write_jsonl` wrote it.
    """
    rows = [row for _, row in numbered_rows(path, keys)]
    check_as_written(path)
    return rows


def numbered_rows(
    path: Path, keys: Collection[str], may_be_lists: Collection[str] = ()
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of `read_jsonl` with their line numbers, from 1 on.

    may_be_lists: those of the keys that may hold a list in place of a text.
    Raises InputError as `read_jsonl` does.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path given in the configuration")
    empty = True
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.removeprefix(codecs.BOM_UTF8).strip():
                empty = False
                yield number, _parse_line(path, number, line, keys, may_be_lists)
    if empty:
        raise InputError(
            f"{path}: the file is empty; it needs at least one line such as "
            + json.dumps({key: "…" for key in keys}, ensure_ascii=False)
        )


def _parse_line(
    path: Path, number: int, line: bytes, keys: Collection[str], may_be_lists: Collection[str]
) -> dict[str, Any]:
    where = f"{path}, line {number}"
    row = parse_json(line.strip(), where, "each line must be one complete JSON object")
    if not isinstance(row, dict):
        raise InputError(
            f"{where}: a JSON {type(row).__name__}, not an object; "
            "each line must be one JSON object in braces"
        )
    for key in keys:
        if not isinstance(row.get(key), str | list if key in may_be_lists else str):
            raise InputError(f'{where}: needs the key "{key}" with a text value')
    return row


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object per line, and the file's checksum to a hidden file beside it."""
    with whole_file(path) as partial:
        with partial.open("w", encoding="utf-8") as lines:
            for row in rows:
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")
        record_checksum(partial, path)
