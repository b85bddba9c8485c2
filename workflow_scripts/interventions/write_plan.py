"""Write the plan of an intervention: which neurons are changed, how, and to what value."""

import argparse
from pathlib import Path

import pandas as pd

from dpo_neurons.errors import InputError
from dpo_neurons.interventions.neuron_selection import (
    read_neurons,
    select_by_cosine,
    select_for_editing,
    select_groups,
)
from dpo_neurons.interventions.plans import empty_plan, make_plan, subtraction_plan, write_plan
from dpo_neurons.models.checkpoint_folder import read_config
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.neurons.groups import GROUPS
from dpo_neurons.running.program import log, run_program

CHOSEN = ("patch", "control", "ablate", "scale_keys", "strip")
"""Kinds that choose neurons by their groups or their rank; strip may take all of them."""
NEEDED = {
    "none": (),
    "patch": ("contributions",),
    "control": ("contributions",),
    "ablate": ("contributions",),
    "scale_keys": ("contributions", "factor"),
    "edit": ("neurons", "alpha", "beta", "form"),
    "steer": ("checkpoint", "layer", "scale"),
    "strip": ("share",),
}
"""The options that each kind of intervention needs."""
OWN = {"prompt": "set_prompt_mean", "token": "set_token"}
"""Operations that give each prompt its own values, by the option --values."""


def chosen_neurons(arguments: argparse.Namespace) -> pd.DataFrame:
    """The neurons that the arguments choose: groups, the top of a ranking, or all."""
    if arguments.neurons is not None:
        return read_neurons(arguments.neurons)
    table = read_contributions(arguments.contributions)
    if arguments.groups is not None:
        return select_groups(table, arguments.groups)
    return select_by_cosine(table, arguments.top, only_positive=arguments.only_positive)


def planned(neurons: pd.DataFrame, arguments: argparse.Namespace) -> pd.DataFrame:
    """The plan for the neurons chosen.

    patch and control assign the mean activation after and before fine-tuning, or leave the values
    to each prompt; ablate assigns zero; scale_keys multiplies keys; strip removes the direction.
    """
    if arguments.kind == "ablate":
        return make_plan(neurons, "set", 0.0)
    if arguments.kind == "scale_keys":
        return make_plan(neurons, "scale_key", arguments.factor)
    if arguments.kind == "strip":
        return make_plan(neurons, "remove_direction", arguments.share)
    if arguments.values in OWN:
        return make_plan(neurons, OWN[arguments.values], 0.0)
    stage = "post" if arguments.kind == "patch" else "pre"
    return make_plan(neurons, "set", neurons[f"activation_{stage}"])


def edited(table: pd.DataFrame, alpha: float, beta: float, form: str) -> pd.DataFrame:
    """The plan of v3's activation editing: weaken by α what writes along, strengthen the rest.

    form: "assign" the edited mean activation, as published, or "scale" the live activation.
    """
    weakened, strengthened = select_for_editing(table, beta)
    plans = []
    for neurons, factor in ((weakened, 1 - alpha), (strengthened, 1 + alpha)):
        operation, values = ("scale", factor)
        if form == "assign":
            operation, values = "set", neurons["activation_pre"] * factor
        plans.append(make_plan(neurons, operation, values))
    return pd.concat(plans).sort_values(["layer", "neuron"], ignore_index=True)


def steered(checkpoint: Path, layer: str, scale: float) -> pd.DataFrame:
    """The plan that subtracts the direction at one layer's MLP output; layer "last" or a number.

    Raises InputError for a layer that the model has not.
    """
    config = read_config(checkpoint)
    count = config.get("num_hidden_layers", config.get("n_layer"))
    number = count - 1 if layer == "last" else int(layer)
    if not 0 <= number < count:
        raise InputError(
            f"interventions: layer {layer} of a steer row: the model has layers 0 to {count - 1}; "
            "give one of them, or last"
        )
    return subtraction_plan(number, scale)


def parsed() -> argparse.Namespace:
    """The command line, complete for the kind it names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", required=True, choices=NEEDED)
    parser.add_argument("--contributions", type=Path, help="to choose neurons from")
    parser.add_argument("--neurons", type=Path, help="neurons of the first model, for edit, strip")
    parser.add_argument("--checkpoint", type=Path, help="the first, for steer")
    parser.add_argument("--groups", nargs="+", choices=GROUPS, help="neurons by their groups")
    parser.add_argument("--top", type=int, help="neurons whose value vectors lie closest")
    parser.add_argument(
        "--only-positive", action="store_true", help="leave out neurons inactive on average"
    )
    parser.add_argument("--values", choices=("mean", *OWN), default="mean", help="patch, control")
    parser.add_argument("--factor", type=float, help="for scale_keys")
    parser.add_argument("--alpha", type=float, help="for edit: by how much")
    parser.add_argument("--beta", type=float, help="for edit: the share of neurons")
    parser.add_argument("--form", choices=("assign", "scale"), help="for edit")
    parser.add_argument("--layer", help="for steer: a number, or last")
    parser.add_argument("--scale", type=float, help="for steer: how much of the direction")
    parser.add_argument("--share", type=float, help="for strip: how much of the component")
    parser.add_argument("--output", type=Path, required=True, help="parquet")
    arguments = parser.parse_args()
    for option in NEEDED[arguments.kind]:
        if getattr(arguments, option) is None:
            parser.error(f"--kind {arguments.kind} needs --{option}")
    choices = [arguments.groups, arguments.top, arguments.neurons]
    if arguments.kind in CHOSEN and all(one is None for one in choices):
        parser.error(f"--kind {arguments.kind} needs --groups, --top or, for strip, --neurons")
    return arguments


def main() -> None:
    """Parse, plan, write."""
    arguments = parsed()
    if arguments.kind == "none":
        plan = empty_plan()
    elif arguments.kind == "steer":
        plan = steered(arguments.checkpoint, arguments.layer, arguments.scale)
    elif arguments.kind == "edit":
        table = read_neurons(arguments.neurons)
        plan = edited(table, arguments.alpha, arguments.beta, arguments.form)
    else:
        plan = planned(chosen_neurons(arguments), arguments)
    write_plan(arguments.output, plan)
    log.info("%d rows", len(plan))


if __name__ == "__main__":
    run_program(main)
