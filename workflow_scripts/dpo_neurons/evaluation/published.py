"""Published numbers beside those that a study measured.

The numbers are those of Yang et al. (arXiv 2411.06424): tables 1 and 2 and section 4.2 of v1, and
v3's comparison of four models. They stand in `published_numbers.csv`, a row a number.
"""

import re
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from dpo_neurons.statistics.bootstrap import ENDS

PUBLISHED_COLUMNS = (
    "set", "quantity", "of", "kind", "top", "activation", "factor", "groups", "value", "mistakes",
)  # fmt: skip
"""of: a group. kind to groups: the intervention that the number belongs to, as METADATA says it.

mistakes: numbers, in docs/differences.md, of the reference's mistakes that the number suffers from.
"""
MEASURES = ("toxicity", "perplexity", "f1")
"""Quantities of an intervention."""
OF_GROUPS = {"group_reduction": "reduction", "group_neurons": "neurons", "group_share": "share"}
"""The column of the table of groups for each quantity of a group."""
TABLE_COLUMNS = (
    "intervention", "kind", "direction", "top", "by", "file", "values", "activation", "factor",
    "groups", *(f"{measure}{end}" for measure in MEASURES for end in ENDS),
)  # fmt: skip
COLUMNS = (
    "quantity", "of", "intervention", "published", "measured", "measured_low", "measured_high",
    "difference", "mistakes",
)  # fmt: skip
"""A row a published number; difference is measured − published."""
GROUP_COLUMNS = (
    "group", "neurons",
    *(f"{column}{end}" for column in ("reduction", "share") for end in ENDS),
)  # fmt: skip


def published_table(
    numbers: pd.DataFrame,
    table: pd.DataFrame,
    totals: pd.DataFrame,
    groups: pd.DataFrame,
    direction: str,
) -> pd.DataFrame:
    """Put each published number beside the study's own: COLUMNS.

    numbers: one set, PUBLISHED_COLUMNS. table: of interventions, TABLE_COLUMNS. totals: quantity,
    value, low, high. groups: GROUP_COLUMNS. direction: the study's, which totals and groups go by;
    rows that go by another one are left out. Where the study has no such row, measured is NaN and
    intervention is empty; of two such rows the first counts.
    """
    by_row: dict[object, dict[Hashable, Any]] = {}
    for row in table.to_dict("records"):
        if row["direction"] in ("", direction) and _is_published_kind(row):
            by_row.setdefault(_describe(row), row)
    by_quantity = {row["quantity"]: row for row in totals.to_dict("records")}
    by_group = {row["group"]: row for row in groups.to_dict("records")}
    rows = []
    for number in numbers.to_dict("records"):
        quantity, name = number["quantity"], ""
        if quantity in MEASURES:
            measured, column = by_row.get(_describe(number), {}), quantity
            name = measured.get("intervention", "")
        elif quantity in OF_GROUPS:
            measured, column = by_group.get(number["of"], {}), OF_GROUPS[quantity]
        else:
            total = by_quantity.get(quantity, {})
            measured = {f"value{end}": total.get(end[1:] or "value") for end in ENDS}
            column = "value"
        values = [measured.get(f"{column}{end}") for end in ENDS]
        rows.append((quantity, number["of"], name, number["value"], *values, number["mistakes"]))
    names = [column for column in COLUMNS if column != "difference"]
    result = pd.DataFrame(rows, columns=names)
    measured_columns = ["measured", "measured_low", "measured_high"]
    result[measured_columns] = result[measured_columns].astype("float64")
    result["difference"] = result["measured"] - result["published"]
    return result[list(COLUMNS)]


def _is_published_kind(row: Mapping[Hashable, Any]) -> bool:
    """Whether a row chooses and sets neurons as the papers do: by cosine, to means."""
    return row["by"] in ("", "cosine") and row["values"] in ("", "mean") and row["file"] == ""


def _describe(row: Mapping[Hashable, Any]) -> tuple[object, ...]:
    """Describe an intervention by what tells the published ones apart."""
    groups = frozenset(re.findall(r"[TA][PN][+-]", row["groups"]))
    numbers = [None if pd.isna(row[key]) else float(row[key]) for key in ("top", "factor")]
    return (row["kind"], row["activation"], groups, *numbers)


def format_published(table: pd.DataFrame) -> pd.DataFrame:
    """Format the table for reading: four significant digits, intervals in brackets."""
    shown = table[["quantity", "of", "intervention"]].copy()
    shown["published"] = [f"{value:.4g}" for value in table["published"]]
    ends = table[["measured", "measured_low", "measured_high"]].to_numpy()
    shown["measured"] = [
        "not in this study"
        if pd.isna(value)
        else f"{value:.4g}" + ("" if pd.isna(low) else f" [{low:.4g}, {high:.4g}]")
        for value, low, high in ends
    ]
    shown["difference"] = ["" if pd.isna(d) else f"{d:+.4g}" for d in table["difference"]]
    shown["known mistakes"] = table["mistakes"]
    return shown
