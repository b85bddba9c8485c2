"""Write the plan of an intervention: which neurons are changed, how, and to what value."""

import argparse
from pathlib import Path

import pandas as pd

from dpo_neurons.contributions import read_contributions
from dpo_neurons.groups import GROUPS
from dpo_neurons.plans import empty_plan, make_plan, write_plan
from dpo_neurons.program import log, run_program
from dpo_neurons.selections import most_toxic, neurons_in_groups

NEEDED = {
    "none": (),
    "patch": ("contributions", "groups"),
    "control": ("contributions", "groups"),
    "ablate": ("contributions", "top"),
    "scale_keys": ("contributions", "top", "factor"),
}
"""The options that each kind of intervention needs."""


def planned(table: pd.DataFrame, arguments: argparse.Namespace) -> pd.DataFrame:
    """The plan that the arguments ask for, from a table of contributions.

    patch and control assign the mean activation after and before fine-tuning to the neurons of
    some groups; ablate assigns zero to the most toxic neurons; scale_keys multiplies their keys.
    """
    if arguments.kind in ("patch", "control"):
        neurons = neurons_in_groups(table, arguments.groups)
        stage = "post" if arguments.kind == "patch" else "pre"
        return make_plan(neurons, "set", neurons[f"activation_{stage}"])
    neurons = most_toxic(table, arguments.top, only_positive=arguments.only_positive)
    if arguments.kind == "ablate":
        return make_plan(neurons, "set", 0.0)
    return make_plan(neurons, "scale_key", arguments.factor)


def main() -> None:
    """Parse, plan, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", required=True, choices=NEEDED)
    parser.add_argument("--contributions", type=Path, help="for every kind but none")
    parser.add_argument("--groups", nargs="+", choices=GROUPS, help="for patch and control")
    parser.add_argument("--top", type=int, help="how many neurons, for ablate and scale_keys")
    parser.add_argument(
        "--only-positive", action="store_true", help="leave out neurons inactive on average"
    )
    parser.add_argument("--factor", type=float, help="for scale_keys")
    parser.add_argument("--output", type=Path, required=True, help="parquet")
    arguments = parser.parse_args()

    for option in NEEDED[arguments.kind]:
        if getattr(arguments, option) is None:
            parser.error(f"--kind {arguments.kind} needs --{option}")
    if arguments.kind == "none":
        plan = empty_plan()
    else:
        plan = planned(read_contributions(arguments.contributions), arguments)
    write_plan(arguments.output, plan)
    log.info("%d neurons", len(plan))


if __name__ == "__main__":
    run_program(main)
