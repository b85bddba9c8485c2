"""Plans: interventions as tables of layer, neuron, operation and value."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from dpo_neurons.errors import InputError
from dpo_neurons.files.tables import read_table, write_table
from dpo_neurons.interventions.operations import OPERATIONS, Places
from dpo_neurons.models.weight_parts import OUTSIDE_LAYERS

COLUMNS = ("layer", "neuron", "operation", "value")
WHOLE_LAYER = -1
"""The value of `neuron` for an operation on a layer as a whole, or on what is in no layer."""


def make_plan(neurons: pd.DataFrame, operation: str, values: pd.Series | float) -> pd.DataFrame:
    """Plan one operation on neurons (columns layer, neuron).

    values: one for each neuron, or one for all.
    """
    plan = neurons[["layer", "neuron"]].assign(operation=operation, value=values)
    plan = plan.sort_values(["layer", "neuron"], ignore_index=True)
    return plan.astype({"layer": "int64", "neuron": "int64", "value": "float64"})


def empty_plan() -> pd.DataFrame:
    """Make the plan that changes nothing."""
    return make_plan(pd.DataFrame({"layer": [], "neuron": []}), "set", 0.0)


def layer_plan(layer: int, operation: str, value: float) -> pd.DataFrame:
    """Plan one operation on a layer as a whole."""
    return make_plan(pd.DataFrame({"layer": [layer], "neuron": [WHOLE_LAYER]}), operation, value)


def check_plan(plan: pd.DataFrame, n_layers: int, d_mlp: int, d_attn: int) -> None:
    """Check that a plan fits a model.

    d_attn: number of coordinates of all heads of a layer together.
    Raises InputError for an unknown operation, for a layer or neuron that the model does not have,
    and for a value that is not finite. Two operations on the same thing, such as a neuron's
    activation, are an error too.
    """
    unknown = set(plan["operation"].unique()) - set(OPERATIONS)
    if unknown:
        raise InputError(
            f"plan: operation {sorted(unknown)[0]!r} is unknown; use one of {', '.join(OPERATIONS)}"
        )
    for column in ("layer", "neuron"):
        if not pd.api.types.is_integer_dtype(plan[column]) and len(plan):
            raise InputError(f"plan: column {column!r} must hold whole numbers; correct the plan")
    values = pd.to_numeric(plan["value"], errors="coerce")
    if not np.isfinite(values.to_numpy(dtype=float)).all():
        raise InputError("plan: a value is missing or not a finite number; correct the plan")
    layer, neuron = plan["layer"], plan["neuron"]
    in_layers, whole = layer.between(0, n_layers - 1), neuron.eq(WHOLE_LAYER)
    fits = (
        (_may_name(plan, "neurons") & in_layers & neuron.between(0, d_mlp - 1))
        | (_may_name(plan, "heads") & in_layers & neuron.between(0, d_attn - 1))
        | (_may_name(plan, "layers") & in_layers & whole)
        | (_may_name(plan, "rest") & layer.eq(OUTSIDE_LAYERS) & whole)
    )
    outside = plan[~fits]
    if len(outside):
        layer, neuron = outside.iloc[0][["layer", "neuron"]]
        raise InputError(
            f"plan: layer {layer}, neuron {neuron} is outside the model's {n_layers} layers of "
            f"{d_mlp} neurons and {d_attn} coordinates of heads; use a plan that was written for "
            "this model"
        )
    targets = {name: operation.target for name, operation in OPERATIONS.items()}
    target = plan["operation"].map(targets)
    twice = plan[plan.assign(target=target).duplicated(["layer", "neuron", "target"])]
    if len(twice):
        layer, neuron = twice.iloc[0][["layer", "neuron"]]
        raise InputError(
            f"plan: layer {layer}, neuron {neuron} has two operations; remove one of them"
        )


def _may_name(plan: pd.DataFrame, places: Places) -> pd.Series:
    """Return whether each row's operation may name these places."""
    names = [name for name, operation in OPERATIONS.items() if places in operation.places]
    return plan["operation"].isin(names)


def select_neuron_rows(plan: pd.DataFrame) -> pd.DataFrame:
    """Select the rows that change neurons, not coordinates of heads, layers or the rest."""
    of_heads = [name for name, operation in OPERATIONS.items() if "heads" in operation.places]
    return plan[(plan["neuron"] != WHOLE_LAYER) & ~plan["operation"].isin(of_heads)]


def read_plans(*paths: Path) -> dict[str, pd.DataFrame]:
    """Read the plans of entries' rows by name, with all their columns, metadata included.

    A row that changes nothing has none: its plan is `empty_plan()`.
    Raises InputError if a file is not one of plans.
    """
    tables = (read_table(path, ("intervention", *COLUMNS), "plans need") for path in paths)
    return {
        str(name): plan.reset_index(drop=True)
        for table in tables
        for name, plan in table.groupby("intervention", sort=False)
    }


def write_plans(
    path: Path,
    plans: Mapping[str, pd.DataFrame],
    metadata: Mapping[str, Mapping[str, object]] | None = None,
) -> None:
    """Write the plans of an entry's rows, by name, as parquet.

    metadata: of each row; each item becomes a column.
    """
    tables = [
        plan[list(COLUMNS)].assign(intervention=name, **(metadata or {}).get(name, {}))
        for name, plan in plans.items()
    ]
    table = pd.concat(tables, ignore_index=True)
    write_table(path, table[["intervention", *table.columns.drop("intervention")]])
