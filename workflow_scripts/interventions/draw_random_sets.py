"""Draw random sets that match the neurons or heads of plans, and plan the same changes of them."""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from dpo_neurons.files.tables import write_table
from dpo_neurons.interventions.planning import (
    plan_for_heads,
    plan_for_neurons,
    plan_moved_damping,
)
from dpo_neurons.interventions.plans import empty_plan, read_plans
from dpo_neurons.interventions.random_sets import draw_matched_heads, draw_matched_sets
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.neurons.heads import read_heads
from dpo_neurons.neurons.neuron_table import read_neurons
from dpo_neurons.running.program import log, run_program


def main() -> None:
    """Parse, draw, plan, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", type=json.loads, required=True, help="the rows with their settings, as JSON"
    )
    parser.add_argument("--plans", type=Path, required=True, help="of the rows, parquet")
    parser.add_argument("--contributions", type=Path, help="of neurons, parquet")
    parser.add_argument("--neurons", type=Path, help="the first model's, parquet")
    parser.add_argument("--heads", type=Path, help="parquet, in place of both for plans of heads")
    parser.add_argument("--draws", type=int, required=True, help="sets for each row")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="parquet, with a column draw")
    arguments = parser.parse_args()

    given = read_plans(arguments.plans)
    if arguments.heads is not None:
        draw_sets, plan_for = draw_matched_heads, plan_for_heads
        everything = read_heads(arguments.heads)
    else:
        draw_sets, plan_for = draw_matched_sets, plan_for_neurons
        norms = read_neurons(arguments.neurons)[["layer", "neuron", "norm"]]
        contributions = read_contributions(arguments.contributions)
        everything = contributions.merge(norms, on=["layer", "neuron"])
    plans = []
    for row in arguments.rows:
        name = row["intervention"]
        chosen = given.get(name, empty_plan())
        sets = draw_sets(everything, chosen, arguments.draws, arguments.seed)
        for draw, drawn in enumerate(sets, start=1):
            if row["kind"] == "damp":
                # Neurons that are no experts have no factor of their own.
                random = np.random.default_rng((arguments.seed, draw))
                plan = plan_moved_damping(drawn, chosen, random)
            else:
                plan = plan_for(drawn, row)
            plans.append(plan.assign(intervention=name, draw=draw))
        log.info("%s: %d sets of %d changes", name, arguments.draws, len(chosen))
    write_table(arguments.output, pd.concat(plans, ignore_index=True))


if __name__ == "__main__":
    run_program(main)
