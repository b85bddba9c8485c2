"""Write the plan of an intervention: which neurons change, how, and to what value."""

import argparse
from pathlib import Path

import pandas as pd

from dpo_neurons.interventions.neuron_selection import (
    select_by_cosine,
    select_by_score,
    select_groups,
    select_listed,
)
from dpo_neurons.interventions.planning import plan_editing, plan_for_neurons, plan_steering
from dpo_neurons.interventions.plans import empty_plan, write_plan
from dpo_neurons.models.checkpoint_folder import count_layers
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.neurons.groups import GROUPS
from dpo_neurons.neurons.neuron_table import read_neurons
from dpo_neurons.neurons.rankings import read_ranking
from dpo_neurons.running.program import log, run_program
from dpo_neurons.study.data_files import read_rows
from dpo_neurons.study.intervention_rows import PARAMETERS, RANKED_BY

ORDERS = ("cosine", "cosine_size", "reduction", *RANKED_BY)
"""What neurons may be ranked by; all but the first three are scores of a ranking."""
SELECTING = ("patch", "ablate", "scale_keys")
"""Kinds that need a selection of neurons, by group or by rank."""
NEEDED = {
    "none": (),
    "dpo": (),
    "patch": ("contributions",),
    "shift": ("contributions", "dose"),
    "damp": ("contributions", "ranking"),
    "control": ("contributions",),
    "ablate": ("contributions",),
    "scale_keys": ("contributions", "factor"),
    "edit": ("neurons", "alpha", "beta", "form"),
    "steer": ("checkpoint", "layer", "scale"),
    "strip": ("share",),
}
"""The options that each kind of intervention needs."""


def select_neurons(arguments: argparse.Namespace) -> pd.DataFrame:
    """Read the neurons; select those of some groups, the top of a ranking, or all."""
    if arguments.neurons is not None:
        return read_neurons(arguments.neurons)
    table = read_contributions(arguments.contributions)
    if arguments.groups is not None:
        return select_groups(table, arguments.groups)
    if arguments.file is not None:
        keys = ("layer", "neuron")
        rows = read_rows(arguments.file, keys)
        return select_listed(table, ((at, *(row.get(key) for key in keys)) for at, row in rows))
    if arguments.ranking is not None:
        table = table.merge(read_ranking(arguments.ranking), on=["layer", "neuron"])
    if arguments.top is None:
        return table
    if arguments.by == "cosine":
        return select_by_cosine(table, arguments.top, arguments.activation == "positive")
    return select_by_score(table, scores_of(table, arguments.by), arguments.top)


def scores_of(table: pd.DataFrame, by: str) -> pd.Series:
    """Return what neurons are ranked by: a column of contributions, or of the ranking."""
    if by == "cosine_size":
        return table["cosine"].abs()
    return table["reduction"] if by == "reduction" else table["score"]


def make_kinds_plan(arguments: argparse.Namespace) -> pd.DataFrame:
    """Make the plan for the kind of intervention on the command line."""
    kind = arguments.kind
    if kind in ("none", "dpo"):
        return empty_plan()
    if kind == "steer":
        n_layers = count_layers(arguments.checkpoint)
        return plan_steering(n_layers, arguments.layer, arguments.scale)
    neurons = select_neurons(arguments)
    if kind == "edit":
        return plan_editing(neurons, arguments.alpha, arguments.beta, arguments.form)
    return plan_for_neurons(neurons, vars(arguments))


def parse_arguments() -> argparse.Namespace:
    """Parse the command line; it must have all options that the kind needs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", required=True, choices=NEEDED)
    parser.add_argument("--control-of", default="", help="the patch that this row controls")
    parser.add_argument("--contributions", type=Path, help="parquet, to select neurons from")
    parser.add_argument("--neurons", type=Path, help="for edit, strip: the first model's, parquet")
    parser.add_argument("--checkpoint", type=Path, help="for steer: the first checkpoint")
    parser.add_argument("--direction", default="", help="name of the row's direction")
    parser.add_argument("--groups", nargs="+", choices=GROUPS, help="select these groups")
    parser.add_argument("--top", type=int, help="select this many neurons")
    parser.add_argument(
        "--by", choices=ORDERS, default="cosine", help="those with the largest … (default: cosine)"
    )
    parser.add_argument(
        "--ranking", type=Path, help="scores of neurons, parquet, for --by and for damp"
    )
    parser.add_argument("--file", type=Path, help="select the neurons in its rows: layer, neuron")
    parser.add_argument(
        "--activation", choices=("positive",), help="select only neurons active on average"
    )
    parser.add_argument(
        "--values",
        choices=("mean", "prompt", "token", "same_text", "permuted", "permuted_damping"),
        default="mean",
        help="for patch, control; permuted for the control of a shift, or of damping",
    )
    parser.add_argument("--dose", type=float, help="for shift, patch, control: part of the change")
    parser.add_argument("--seed", type=int, default=0, help="for the control of a shift")
    parser.add_argument("--factor", type=float, help="for scale_keys")
    parser.add_argument("--alpha", type=float, help="for edit: relative change of activations")
    parser.add_argument("--beta", type=float, help="for edit: edited share of each group")
    parser.add_argument("--form", choices=("assign", "scale", "shift"), help="for edit")
    parser.add_argument("--layer", help="for steer: a number, or last")
    parser.add_argument("--scale", type=float, help="for steer: multiple of the unit direction")
    parser.add_argument("--positions", help="for ablate, steer: where the row acts")
    parser.add_argument("--share", type=float, help="for strip: removed share of the component")
    parser.add_argument("--output", type=Path, required=True, help="parquet")
    arguments = parser.parse_args()
    for option in NEEDED[arguments.kind]:
        if getattr(arguments, option) is None:
            parser.error(f"--kind {arguments.kind} needs --{option}")
    choices = [arguments.groups, arguments.top, arguments.file]
    if arguments.kind in SELECTING and all(choice is None for choice in choices):
        parser.error(f"--kind {arguments.kind} needs --groups, --top or --file")
    return arguments


def main() -> None:
    """Parse, plan, write."""
    arguments = parse_arguments()
    plan = make_kinds_plan(arguments)
    given = "" if arguments.file is None else str(arguments.file)
    settings = vars(arguments) | {"groups": " ".join(arguments.groups or ()), "file": given}
    # The parameter `layer` is left out: the plan has a column of that name.
    columns = ("kind", "control_of", *(name for name in PARAMETERS if name != "layer"))
    write_plan(arguments.output, plan, {name: settings[name] for name in columns})
    log.info("%d rows", len(plan))


if __name__ == "__main__":
    run_program(main)
