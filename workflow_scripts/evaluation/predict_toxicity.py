"""Predict every intervention's effect, and correlate it with toxicity."""

import argparse
from pathlib import Path

from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.errors import InputError
from dpo_neurons.evaluation.outcomes import choose_toxicity, gather_scores
from dpo_neurons.evaluation.prediction import (
    REFERENCE,
    comparable_rows,
    correlate_effects,
    predict_effects,
)
from dpo_neurons.files.tables import read_csv, write_csv
from dpo_neurons.interventions.plans import empty_plan, read_plans
from dpo_neurons.models.checkpoint_folder import read_architecture
from dpo_neurons.models.value_vectors import project_written_vectors
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.running.program import add_bootstrap_arguments, log, run_program

COLUMNS = (
    "intervention",
    "kind",
    "control_of",
    "checkpoint",
    "neurons",
    "toxicity",
    "toxicity_low",
    "toxicity_high",
    "no_longer_writes",
)


def main() -> None:
    """Parse, predict, correlate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True, help="table csv")
    parser.add_argument("--plans", type=Path, nargs="+", required=True, help="parquet")
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="parquet")
    parser.add_argument("--contributions", type=Path, required=True)
    parser.add_argument("--checkpoint-pre", type=Path, required=True)
    parser.add_argument("--direction", type=Path, required=True)
    add_bootstrap_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="csv, one row per intervention")
    parser.add_argument("--correlations", type=Path, required=True, help="csv")
    arguments = parser.parse_args()

    contributions = read_contributions(arguments.contributions)
    direction = read_direction(arguments.direction)[0]
    along, _, _ = project_written_vectors(arguments.checkpoint_pre, direction, arguments.direction)
    if along.size != len(contributions):
        raise InputError(
            f"{arguments.contributions}: has {len(contributions)} neurons, but "
            f"{arguments.checkpoint_pre} has {along.size}; delete it and run again"
        )
    table = read_csv(arguments.table, COLUMNS)
    if "none" not in set(table["intervention"]):
        raise InputError(f"{arguments.table}: has no row 'none'; delete it and run again")
    changing, scores = read_plans(*arguments.plans), gather_scores(arguments.scores)
    # Rows of other directions have no scores among these.
    plans = {name: changing.get(name, empty_plan()) for name in scores}
    norm_after_mlp = read_architecture(arguments.checkpoint_pre).norm_after_mlp is not None
    effects = predict_effects(table, plans, contributions, along, norm_after_mlp)
    compared = [REFERENCE, *comparable_rows(effects)["intervention"]]
    toxicity = choose_toxicity(scores, compared)
    bootstrap = arguments.resamples, arguments.level, arguments.seed
    correlations = correlate_effects(effects, toxicity, *bootstrap)
    for path, rows in ((arguments.output, effects), (arguments.correlations, correlations)):
        write_csv(path, rows)
    log.info("\n%s", correlations.to_string(index=False))


if __name__ == "__main__":
    run_program(main)
