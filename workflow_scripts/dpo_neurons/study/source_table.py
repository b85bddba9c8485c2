"""The table of everything that a study used: origins and checksums."""

import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from dpo_neurons.files.provenance import ENDING, read_source
from dpo_neurons.files.table_page import table_page

COLUMNS = ("what", "kind", "origin", "revision", "rows", "rows_left_out", "file", "sha256")
LONG = re.compile("([0-9a-f]{12})[0-9a-f]+$")
"""A checksum or a revision. The page shows its first 12 digits, the CSV all."""


def source_table(paths: Iterable[Path], results: Path) -> pd.DataFrame:
    """Tabulate the source files of a study's results; all values are texts.

    A row without `file` describes the data set or checkpoint itself. A row with one describes a
    file that it consists of or was made from. Raises InputError for a damaged source file.
    """
    rows: list[dict[str, str]] = []
    for path in paths:
        facts = read_source(path)
        left_out = facts.get("rows_left_out", {})
        origin = str(facts.get("repository", facts.get("path", "")))
        common = {
            "what": path.relative_to(results).as_posix().removesuffix(ENDING),
            "kind": facts["kind"],
            "origin": f"as {facts['same_as']}" if "same_as" in facts else origin,
            "revision": str(facts.get("revision", "")),
        }
        itself = {
            "rows": str(facts.get("rows", "")),
            "rows_left_out": ", ".join(f"{count} {reason}" for reason, count in left_out.items()),
            "file": "",
            "sha256": facts.get("sha256", ""),
        }
        rows.append(common | itself)
        given = {f"given: {file}": sha256 for file, sha256 in facts.get("given", {}).items()}
        for file, sha256 in sorted({**given, **facts.get("files", {})}.items()):
            rows.append(common | {"rows": "", "rows_left_out": "", "file": file, "sha256": sha256})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def to_page(table: pd.DataFrame, title: str) -> str:
    """Return the table as a self-contained HTML page, checksums shortened."""
    shown = table.copy()
    for column in ("revision", "sha256"):
        shown[column] = shown[column].str.replace(LONG, r"\1", regex=True)
    shown.columns = [column.replace("_", " ") for column in shown.columns]
    with pd.option_context("display.max_colwidth", None):
        return table_page(title, shown.to_html(index=False, border=0))
