"""Read rows of users' files: JSON lines, CSV, TSV, Parquet or plain text, by the name's ending."""

import csv
import json
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpo_neurons.errors import InputError
from dpo_neurons.files.column_names import check_names_once
from dpo_neurons.files.file_faults import describe_fault
from dpo_neurons.files.jsonl import numbered_rows

if TYPE_CHECKING:
    import pyarrow as pa

Row = tuple[str, dict[str, Any]]
"""A row's place, such as "data/train.csv, line 7", and its values by column."""

SEPARATORS = {".csv": ",", ".tsv": "\t"}
SEPARATOR_NAMES = {",": "commas", "\t": "tabs"}
PLAIN_TEXT = (".txt", ".tokens")
"""Endings of files with a text a line; WikiText's own is .tokens."""
ENDINGS = (".jsonl", *SEPARATORS, ".parquet", *PLAIN_TEXT)
BATCH = 4096
"""Rows of a Parquet file in memory at a time."""


def matching_paths(patterns: Iterable[str]) -> list[Path]:
    """List paths given by name or by a pattern such as pairs/*.jsonl, matches sorted.

    Raises InputError for a name or a pattern that nothing matches, and for one that is no pattern.
    """
    paths = []
    for pattern in patterns:
        matches = _matches(pattern)
        if not matches:
            raise InputError(
                f"{pattern}: no such file; check the path given in the configuration, "
                "it is relative to where snakemake is started"
            )
        paths += matches
    return paths


def _matches(pattern: str) -> list[Path]:
    try:
        if Path(pattern).exists():
            return [Path(pattern)]
        anchor = Path(pattern).anchor
        return sorted(Path(anchor).glob(pattern.removeprefix(anchor)))
    except OSError as error:
        raise InputError(describe_fault(error, pattern) or f"{pattern}: {error}") from None
    except (ValueError, NotImplementedError, IndexError) as error:  # such as a**b
        raise InputError(f"{pattern}: no path and no pattern ({error}); correct it") from None


def read_rows(path: Path, columns: Collection[str]) -> Iterator[Row]:
    """Yield the rows of a file with at least these columns, if it has them.

    All values of a CSV or TSV file are texts, blank ones too. Of a Parquet file only the needed
    columns are read. A line of plain text is a row with the column text. A column may be dotted:
    prompt.text is a value inside an object.
    Raises InputError for another ending, for a file that is missing, empty or damaged, and for a
    column that stands twice.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path given in the configuration")
    if path.suffix == ".jsonl":
        return _json_rows(path, columns)
    if path.suffix in SEPARATORS:
        return _csv_rows(path, SEPARATORS[path.suffix])
    if path.suffix in PLAIN_TEXT:
        return _lines(path)
    if path.suffix == ".parquet":
        return _parquet_rows(path, columns)
    raise InputError(
        f"{path}: its ending is not one of {', '.join(ENDINGS)}; unpack or convert the file, "
        "JSON lines under another ending need only be renamed"
    )


def _json_rows(path: Path, columns: Collection[str]) -> Iterator[Row]:
    if path.stat().st_size == 0:
        example = json.dumps(dict.fromkeys(columns, "…"), ensure_ascii=False)
        raise InputError(f"{path}: the file is empty; it needs at least one line such as {example}")
    for number, row in numbered_rows(path, ()):
        yield f"{path}, line {number}", row


def _lines(path: Path) -> Iterator[Row]:
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            for number, line in enumerate(lines, 1):
                yield f"{path}, line {number}", {"text": line.rstrip("\r\n")}
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: not UTF-8 after line {number}; save the file in that encoding"
        ) from None


def _csv_rows(path: Path, separator: str) -> Iterator[Row]:
    # A comment can be longer than the reader's usual limit.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, delimiter=separator, strict=True)
        try:
            header = next(reader, None)
            if header is None:
                raise InputError(f"{path}: the file is empty; it needs a line of column names")
            check_names_once(path, header)
            last = reader.line_num
            for fields in reader:
                place, last = f"{path}, line {last + 1}", reader.line_num
                if len(fields) == len(header):
                    yield place, dict(zip(header, fields, strict=True))
                elif fields:
                    raise InputError(
                        f"{place}: {len(fields)} values under {len(header)} column names; put "
                        f"texts that hold {SEPARATOR_NAMES[separator]} or line breaks in quotes"
                    )
        except csv.Error as error:
            raise InputError(
                f"{path}, line {reader.line_num}: not valid {path.suffix[1:].upper()} ({error}); "
                "quotes inside a text are doubled, and the last one must be closed"
            ) from None
        except UnicodeDecodeError:
            raise InputError(
                f"{path}: not UTF-8 after line {reader.line_num}; save the file in that encoding"
            ) from None


def _parquet_rows(path: Path, columns: Collection[str]) -> Iterator[Row]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        with ParquetFile(path) as file:
            _check_schema(path, file.schema_arrow)
            needed = _needed(file.schema_arrow.names, columns)
            for batch in file.iter_batches(BATCH, columns=needed):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", row
    except (ArrowException, ValueError, KeyError, OSError) as error:
        if isinstance(error, OSError) and (fault := describe_fault(error, path)):
            raise InputError(fault) from None
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: cannot be read as Parquet ({reason}); fetch or make it again"
        ) from None


def _check_schema(path: Path, fields: "Iterable[pa.Field]", inside: str = "") -> None:
    from pyarrow.types import is_struct

    columns = list(fields)
    check_names_once(path, [column.name for column in columns], inside)
    for column in columns:
        if is_struct(column.type):
            _check_schema(path, column.type.fields, f"{inside}{column.name}.")


def _needed(present: list[str], columns: Collection[str]) -> list[str] | None:
    # All columns (None) if one is missing: the error message lists what there is.
    needed = {
        name
        for column in columns
        for name in present
        if column == name or column.startswith(f"{name}.")
    }
    all_present = all(any(c == n or c.startswith(f"{n}.") for n in needed) for c in columns)
    return sorted(needed) if all_present and needed else None
