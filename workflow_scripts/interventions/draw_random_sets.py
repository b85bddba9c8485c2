"""Draw random sets of neurons that match those of a plan, and plan the same change of them."""

import argparse
import json
from pathlib import Path

import pandas as pd

from dpo_neurons.files.tables import write_table
from dpo_neurons.interventions.planning import plan_for_neurons
from dpo_neurons.interventions.plans import read_plan
from dpo_neurons.interventions.random_sets import draw_matched_sets
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.neurons.neuron_table import read_neurons
from dpo_neurons.running.program import log, run_program


def main() -> None:
    """Parse, draw, plan, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", type=json.loads, required=True, help="the row's settings, as JSON")
    parser.add_argument("--plan", type=Path, required=True, help="of the row, parquet")
    parser.add_argument("--contributions", type=Path, required=True, help="parquet")
    parser.add_argument("--neurons", type=Path, required=True, help="the first model's, parquet")
    parser.add_argument("--draws", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="parquet, with a column draw")
    arguments = parser.parse_args()

    chosen = read_plan(arguments.plan)
    neurons = read_contributions(arguments.contributions).merge(
        read_neurons(arguments.neurons)[["layer", "neuron", "norm"]], on=["layer", "neuron"]
    )
    plans = [
        plan_for_neurons(drawn, arguments.row).assign(draw=draw)
        for draw, drawn in enumerate(
            draw_matched_sets(neurons, chosen, arguments.draws, arguments.seed), start=1
        )
    ]
    write_table(arguments.output, pd.concat(plans, ignore_index=True))
    log.info("%d sets of %d neurons", arguments.draws, len(chosen))


if __name__ == "__main__":
    run_program(main)
