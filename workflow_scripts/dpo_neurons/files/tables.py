"""Tables in files: parquet with checksums, and CSV."""

import io
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import pandas as pd
from pyarrow import parquet as pq

from dpo_neurons.errors import InputError
from dpo_neurons.files.checksums import check_as_written, record_checksum
from dpo_neurons.files.column_names import check_names_once
from dpo_neurons.files.file_faults import describe_unreadable
from dpo_neurons.files.output_files import whole_file


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as parquet, without its index."""
    with whole_file(path) as partial:
        table.to_parquet(partial, index=False, write_page_checksum=True)


def read_table(path: Path, columns: Sequence[str], needing: str) -> pd.DataFrame:
    """Read a parquet table that has these columns.

    needing: how the error message begins if the table lacks one, such as "a plan needs".
    Raises InputError if the file is missing, unreadable, damaged or lacks a column.
    """
    try:
        table = pd.read_parquet(path, page_checksum_verification=True)
        _check_rows(path, len(table))
    except Exception as error:  # damaged bytes make the reader raise whatever there is
        raise describe_unreadable(path, error, "parquet") from error
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(f"{path}: {needing} the column {missing[0]!r}; delete it and run again")
    return table


def _check_rows(path: Path, n_rows: int) -> None:
    # Pages have checksums, but the metadata that count them have none.
    metadata = pq.read_metadata(path)
    groups = sum(metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))
    if not n_rows == metadata.num_rows == groups:
        raise ValueError(f"{n_rows} rows instead of {metadata.num_rows}")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, without its index, and its checksum to a hidden file beside it."""
    with whole_file(path) as partial:
        table.to_csv(partial, index=False)
        record_checksum(partial, path)


TEXTS = frozenset(
    (
        "activation", "after", "against", "along", "by", "by_seed", "checkpoint", "control_of",
        "corrected_for_selection", "correlation", "direction", "entry", "family", "file", "form",
        "group", "groups", "intervention", "into", "kind", "layers", "length", "mark", "matrix",
        "model", "of", "origin", "other_scorer", "part", "parts", "positions", "promoted",
        "quantity", "revision", "rows_left_out", "same_sign", "scorer", "sha256", "side", "sign",
        "stage", "text", "token", "values", "verdict", "what", "still_writes", "lowers_toxicity",
        "beyond_control", "beyond_random_sets", "nearer_to_dpo",
    )
)  # fmt: skip
"""Columns that hold texts in every CSV file of the workflow."""


def read_csv(
    path: Path,
    columns: Iterable[str] | None = None,
    texts: Collection[str] = (),
    may_be_empty: bool = False,
    has_checksum: bool = True,
) -> pd.DataFrame:
    """Read the named columns of a CSV file, or all of them.

    The columns of TEXTS and `texts` come back as texts, whatever they look like ("null", "1.10"),
    and are "" where a cell is empty. All others come back as numbers. may_be_empty: whether a
    table without rows is a result, not a damaged file. has_checksum: whether the workflow made the
    file; a file of the package has none.
    Raises InputError if the file cannot be read, is not as it was written, ends within a line, has
    no row, has one column twice or lacks one of the columns.
    """
    all_texts = TEXTS.union(texts)
    try:
        content = path.read_bytes()
        header = pd.read_csv(
            io.BytesIO(content), header=None, nrows=1, dtype=str, keep_default_na=False
        ).loc[0]
        check_names_once(path, header)
        table = pd.read_csv(
            io.BytesIO(content),
            dtype={name: str for name in header if name in all_texts},
            keep_default_na=False,
            na_values={name: ["", "nan", "NaN"] for name in header if name not in all_texts},
        )
    except (OSError, ValueError, MemoryError) as error:
        raise describe_unreadable(path, error, "CSV") from error
    if has_checksum:
        check_as_written(path, content)
    if b"\0" in content or not content.endswith(b"\n"):
        # pandas would read a number that is cut off as a shorter one.
        raise InputError(f"{path}: damaged or cut off; delete it and run again")
    if table.empty and not may_be_empty:
        raise InputError(f"{path}: has no row, so it is cut off; delete it and run again")
    required = list(table.columns if columns is None else columns)
    missing = [column for column in required if column not in table.columns]
    if missing:
        raise InputError(f"{path}: needs the column {missing[0]!r}; delete it and run again")
    return table[required]
