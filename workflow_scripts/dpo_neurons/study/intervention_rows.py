"""The rows of the tables: what a study's `interventions` come to, each with all that it needs."""

from collections.abc import Iterator
from itertools import combinations, product
from typing import Any

Row = dict[str, Any]

UNPATCHED = {"none": "pre", "dpo": "post"}
"""The interventions that leave a checkpoint as it is, and which checkpoint that is."""
LISTED = {
    "edit": {"alpha": "a", "beta": "b"},
    "steer": {"scale": "x"},
    "scale_keys": {"factor": "x"},
}
"""The keys of a kind that may be lists, and what stands before their values in a row's name."""
NOT_IN_PLAN = ("kind", "direction", "activation", "positions")
"""Keys that say something other than which neurons are changed and how."""


def table_rows(interventions: dict[str, Row]) -> dict[str, Row]:
    """Every row by name: the two unpatched ones, the configured, and after each patch its control.

    An entry with lists of values, or with every combination of some groups, stands for many rows.
    """
    rows: dict[str, Row] = {name: {"kind": "none"} for name in UNPATCHED}
    for entry, described in interventions.items():
        for name, row in _expanded(entry, described):
            rows[name] = row
            # A model that is given its own activations token by token is the model itself.
            if row["kind"] == "patch" and row.get("values") != "token":
                rows[name.replace("patch_", "control_", 1)] = row | {"kind": "control"}
    return rows


def _expanded(name: str, row: Row) -> Iterator[tuple[str, Row]]:
    if "every_combination_of" in row:
        groups = row["every_combination_of"]
        rest = {key: value for key, value in row.items() if key != "every_combination_of"}
        for size in range(1, len(groups) + 1):
            for chosen in combinations(groups, size):
                short = "_".join(group[:2].lower() + _sign(group, groups) for group in chosen)
                yield f"{name}_{short}", rest | {"groups": list(chosen)}
        return
    letters = LISTED.get(row["kind"], {})
    listed = {key: letters[key] for key in letters if isinstance(row.get(key), list)}
    if not listed:
        yield name, row
        return
    # One list is enough to need the values of all in the name.
    for values in product(*(_as_list(row[key]) for key in letters)):
        chosen = dict(zip(letters, values, strict=True))
        suffix = "_".join(f"{letters[key]}{value:g}" for key, value in chosen.items())
        yield f"{name}_{suffix}", row | chosen


def _sign(group: str, groups: list[str]) -> str:
    """What tells a group from its mirror, where both are combined."""
    both = {other[:2] for other in groups if other != group}
    return {"+": "up", "-": "down"}[group[2]] if group[:2] in both else ""


def _as_list(value: Any) -> list[Any]:  # noqa: ANN401
    return value if isinstance(value, list) else [value]


def stage_of(name: str, row: Row) -> str:
    """The checkpoint that a row runs on: keys are scaled in the second model."""
    return UNPATCHED.get(name, "post" if row["kind"] == "scale_keys" else "pre")


def needs_of_plan(row: Row) -> str:
    """What a row's plan is chosen from: contributions, neurons (the first model's alone) or none.

    Editing and stripping need no second checkpoint, unless groups are named.
    """
    if row["kind"] in ("none", "steer"):
        return "nothing"
    if row["kind"] == "edit" or (row["kind"] == "strip" and "groups" not in row):
        return "neurons"
    return "contributions"


def runs_with_direction(row: Row) -> bool:
    """Whether running a row takes the direction itself, not only neurons chosen by it."""
    return row["kind"] in ("steer", "strip")


def source_stage(row: Row) -> str | None:
    """The checkpoint whose activations each prompt is given, in prompt-specific patching."""
    if row.get("values", "mean") == "mean":
        return None
    return "post" if row["kind"] == "patch" else "pre"


def can_be_captured(name: str, row: Row) -> bool:
    """Whether a row's plan alone says what the first model's neurons do, as a capture needs."""
    changes_it = row["kind"] != "none" and stage_of(name, row) == "pre"
    return changes_it and not runs_with_direction(row) and source_stage(row) is None


def plan_arguments(row: Row) -> Row:
    """What write_plan.py is told of a row, its kind and switches left out."""
    return {key: value for key, value in row.items() if key not in NOT_IN_PLAN}
