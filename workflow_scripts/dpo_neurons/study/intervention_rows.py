"""The rows of the tables, expanded from a study's `interventions`."""

from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import Any

Row = dict[str, Any]

PERMUTED = {"shift": "permuted", "damp": "permuted_damping"}
"""Kinds whose control permutes their values within each layer, and the control's `values`."""
RANKED_BY = ("change", "effect_size", "auroc")
"""Values of `by` for which there is a ranking of its own."""
UNPATCHED = {"none": "pre", "dpo": "post"}
"""The interventions that change nothing, and the checkpoint that each runs on."""
LISTED = {
    "edit": {"alpha": "a", "beta": "b"},
    "steer": {"scale": "x"},
    "scale_keys": {"factor": "x"},
    "patch": {"dose": "d"},
    "shift": {"dose": "d"},
    "transplant": {"dose": "d", "rank": "r"},
}
"""Keys that may be lists, by kind, each with the prefix of its values in a row's name."""
CHOOSING = ("groups", "top", "file", "heads")
"""Keys that choose some neurons or heads; a row without them changes all neurons."""
ACT_EVERYWHERE = ("ablate", "steer", "shift", "damp")
"""Kinds that act at every position of a window of text, whatever `perplexity.positions` says."""
SETS = ("groups", "top", "parts")
"""Keys whose value may list several sets of neurons or parts, each a row."""
PARAMETERS = (
    "direction", "groups", "top", "activation", "values", "factor", "alpha", "beta", "form",
    "layer", "scale", "positions", "share", "dose",
    "by", "file", "along", "parts", "layers", "rank", "into", "heads", "length",
    "without_most_active",
)  # fmt: skip
"""Keys that a row may have besides its kind; each is a column."""
IN_ONE_TEXT = ("groups", "parts", "layers")
"""Those that are lists; in a column, their items are one text."""
METADATA = ("intervention", "entry", "kind", "control_of", "checkpoint", *PARAMETERS)
"""Columns that describe a row, in tables and in results/{study}/interventions.csv."""


def rows_by_entry(interventions: Mapping[str, Row]) -> dict[str, dict[str, Row]]:
    """List the rows of each entry by name; the two unpatched rows, an entry each, come first.

    An entry with lists of values, or with several sets of groups or parts, stands for many rows.
    A patch, a shift, damping or steering along the shift is followed by its control, whose key
    `control_of` names it.
    """
    rows: dict[str, dict[str, Row]] = {name: {name: {"kind": name}} for name in UNPATCHED}
    for entry, settings in interventions.items():
        rows[entry] = dict(_rows_of_entry(entry, settings))
    return rows


def table_rows(interventions: Mapping[str, Row]) -> dict[str, Row]:
    """List every row by name, in the order of `rows_by_entry`."""
    by_entry = rows_by_entry(interventions).values()
    return {name: row for rows in by_entry for name, row in rows.items()}


def named_rows(interventions: Mapping[str, Row]) -> list[tuple[str, str]]:
    """List (entry, row's name) of every configured row and control; a name may come twice."""
    return [
        (entry, name)
        for entry, settings in interventions.items()
        for name, _ in _rows_of_entry(entry, settings)
    ]


def _rows_of_entry(entry: str, settings: Row) -> Iterator[tuple[str, Row]]:
    """Yield the rows of an entry, each followed by its control if it has one."""
    for name, row in _expand(entry, settings):
        yield name, row
        control = {"kind": "control", "control_of": name}
        shared = {key: value for key, value in row.items() if key != "random_sets"}
        # A model that is given its own activations token by token is the model itself.
        if row["kind"] == "patch" and row.get("values") not in ("token", "same_text"):
            yield name.replace("patch_", "control_", 1), shared | control
        elif row["kind"] in PERMUTED:
            yield f"control_{name}", shared | control | {"values": PERMUTED[row["kind"]]}
        elif row.get("along") == "shift":
            yield f"control_{name}", shared | control | {"along": "random"}


def describe_rows(interventions: Mapping[str, Row], direction: str) -> list[Row]:
    """Describe every row of the tables by METADATA, in order; "" where a key does not apply.

    direction: the direction of rows that name none.
    """
    described = []
    for entry, rows in rows_by_entry(interventions).items():
        for name, row in rows.items():
            metadata = {"intervention": name, "entry": entry, **row}
            metadata["checkpoint"] = stage_of(name, row)
            if name not in UNPATCHED:
                metadata.setdefault("direction", direction)
            metadata |= join_lists(row)
            described.append({key: metadata.get(key, "") for key in METADATA})
    return described


def join_lists(row: Row) -> dict[str, str]:
    """Return the lists of a row, IN_ONE_TEXT, each as one text with spaces."""
    return {key: " ".join(map(str, row.get(key) or ())) for key in IN_ONE_TEXT}


def _expand(name: str, row: Row) -> Iterator[tuple[str, Row]]:
    """Yield the rows that an entry stands for: each of its sets with each of its values."""
    for name_of_set, row_of_set in expand_sets(name, row):
        yield from _expand_values(name_of_set, row_of_set)


def expand_sets(name: str, row: Row) -> Iterator[tuple[str, Row]]:
    """Yield a row for each set of neurons or parts of a model, if an entry lists several."""
    if "every_combination_of" in row:
        groups = row["every_combination_of"]
        sizes = range(1, len(groups) + 1)
        row = {key: value for key, value in row.items() if key != "every_combination_of"}
        row["groups"] = [list(chosen) for size in sizes for chosen in combinations(groups, size)]
    listed = keys_with_sets(row)
    if not listed:
        yield name, row
        return
    key = listed[0]
    for chosen in row[key]:
        yield f"{name}_{_name_set(key, chosen, row[key])}", row | {key: chosen}


def keys_with_sets(row: Row) -> list[str]:
    """List the keys of a row whose value lists several sets of neurons or parts."""
    return [
        key for key in SETS if isinstance(row.get(key), list) and not isinstance(row[key][0], str)
    ]


def _expand_values(name: str, row: Row) -> Iterator[tuple[str, Row]]:
    """Yield a row for each value, or combination of values, of the keys in LISTED."""
    letters = LISTED.get(row["kind"], {})
    if not any(isinstance(row.get(key), list) for key in letters):
        yield name, row
        return
    # One list is enough to need the values of all in the name.
    given = [key for key in letters if key in row]
    for values in product(*(_as_list(row[key]) for key in given)):
        settings = dict(zip(given, values, strict=True))
        suffix = "_".join(f"{letters[key]}{value:g}" for key, value in settings.items())
        yield f"{name}_{suffix}", row | settings


def _name_set(key: str, chosen: Any, sets: list[Any]) -> str:  # noqa: ANN401
    """Name one of the sets that a key lists, for a row's name."""
    if key == "top":
        return str(chosen)
    if key == "parts":
        return "_".join(chosen)
    mentioned = {group for groups in sets for group in groups}
    return "_".join(_shorten(group, mentioned) for group in chosen)


def _shorten(group: str, mentioned: set[str]) -> str:
    """Shorten a group to two letters, with up or down if its mirror is mentioned too."""
    mirrored = any(other[:2] == group[:2] for other in mentioned - {group})
    return group[:2].lower() + ({"+": "up", "-": "down"}[group[2]] if mirrored else "")


def _as_list(value: Any) -> list[Any]:  # noqa: ANN401
    return value if isinstance(value, list) else [value]


def stage_of(name: str, row: Row) -> str:
    """Name the checkpoint that a row runs on: keys are scaled in the second model."""
    otherwise = "post" if row["kind"] == "scale_keys" else "pre"
    return UNPATCHED.get(name, str(row.get("into", otherwise)))


def needs_of_plan(row: Row) -> str:
    """Name the table that a row's plan is chosen from: contributions, neurons, heads or nothing.

    neurons describes the first model alone: editing by signs and stripping all neurons need no
    second.
    """
    if row["kind"] in UNPATCHED or counts_layers(row):
        return "nothing"
    if "heads" in row:
        return "heads"
    if row["kind"] in ("edit", "strip") and not set(CHOOSING) & set(row):
        return "neurons"
    return "contributions"


def steered_along(row: Row) -> str | None:
    """Name what a row steers along: direction, shift or random; None for other rows."""
    along: str | None = row.get("along", "direction" if row["kind"] == "steer" else None)
    return along


def needs_length(row: Row) -> bool:
    """Whether a row's plan needs how long its direction was before it was scaled to length 1."""
    return bool(row.get("length", "unit") == "own")


def counts_layers(row: Row) -> bool:
    """Whether a row's plan is made from the number of layers, and names no neurons."""
    whole = row["kind"] == "transplant" and not set(CHOOSING) & set(row)
    return steered_along(row) is not None or whole


def runs_with_direction(row: Row) -> bool:
    """Whether running a row needs the direction itself, not only neurons chosen by it."""
    return row["kind"] == "strip" or steered_along(row) == "direction"


def runs_with_shifts(row: Row) -> bool:
    """Whether running a row needs the mean shifts of the residual stream, or vectors as long."""
    return steered_along(row) in ("shift", "random")


def source_stage(row: Row) -> str | None:
    """Name the checkpoint whose activations a prompt-specific patch sets; None for others."""
    if row.get("values", "mean") == "mean" or is_random(row):
        return None
    return "post" if row["kind"] == "patch" else "pre"


def donor_stage(name: str, row: Row) -> str | None:
    """Name the checkpoint whose weights a transplant puts into the other; None for others."""
    if row["kind"] != "transplant":
        return None
    return "pre" if stage_of(name, row) == "post" else "post"


def can_be_captured(name: str, row: Row) -> bool:
    """Whether a plan alone determines the first model's neurons, as a capture needs."""
    changes_it = name not in UNPATCHED and stage_of(name, row) == "pre"
    needs_other = source_stage(row) is not None or donor_stage(name, row) is not None
    needs_vectors = runs_with_direction(row) or runs_with_shifts(row)
    return changes_it and not needs_vectors and not needs_other


def is_random(row: Row) -> bool:
    """Whether a row's plan is drawn at random, as the controls of shifts and damping are."""
    return row.get("values") in PERMUTED.values()


def ranking_of(row: Row) -> str | None:
    """Name the ranking that a row's neurons are chosen or damped by; None for other rows."""
    if row["kind"] == "damp" or row.get("values") == PERMUTED["damp"]:
        return "auroc"
    return row["by"] if row.get("by") in RANKED_BY else None


def positions_in_generation(row: Row, otherwise: str) -> str:
    """Where a row acts in each forward pass of generation; `otherwise` is the study's setting."""
    if row["kind"] in UNPATCHED:
        return "all"  # it changes nothing, so a changed setting need not run it again
    return str(row.get("positions", otherwise))


def positions_in_perplexity(row: Row, otherwise: str) -> str:
    """Where a row acts in a window of text; `otherwise` is where patches and edits do."""
    everywhere = row["kind"] in (*UNPATCHED, *ACT_EVERYWHERE)
    # The controls of such kinds have a kind of their own.
    return "all" if everywhere or is_random(row) or runs_with_shifts(row) else otherwise


def plan_arguments(row: Row) -> Row:
    """Return the settings of a row that write_plans.py takes besides its kind."""
    # The file of neurons is an input of the job.
    keys = ("control_of", *(name for name in PARAMETERS if name != "file"))
    arguments = {key: row[key] for key in keys if key in row}
    # Damping has no `by` of its own.
    return arguments if ranking_of(row) is None else arguments | {"by": ranking_of(row)}
