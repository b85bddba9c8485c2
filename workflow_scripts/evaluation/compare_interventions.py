"""Test interventions on a model against each other, paired by prompt and by window of text."""

import argparse
from pathlib import Path

from dpo_neurons.evaluation.comparison_table import comparison_table, readable_comparisons
from dpo_neurons.evaluation.intervention_table import AFTER, BEFORE, Bootstrap, to_markdown
from dpo_neurons.evaluation.outcomes import read_outcomes
from dpo_neurons.files.output_files import write_text
from dpo_neurons.files.tables import write_csv
from dpo_neurons.running.program import bootstrap_arguments, run_program


def main() -> None:
    """Parse, test, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="directory of the study")
    parser.add_argument("--model", required=True)
    parser.add_argument("--interventions", nargs="+", required=True, help="names, in order")
    bootstrap_arguments(parser)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    arguments = parser.parse_args()

    if not {BEFORE, AFTER} <= set(arguments.interventions):
        parser.error(f"--interventions needs {BEFORE} and {AFTER}, which the others are held to")
    outcomes = read_outcomes(arguments.results, arguments.model, arguments.interventions)
    bootstrap = Bootstrap(arguments.resamples, arguments.level, arguments.seed)
    table = comparison_table(outcomes, bootstrap)
    write_csv(arguments.csv, table)
    write_text(arguments.markdown, to_markdown(readable_comparisons(table)))


if __name__ == "__main__":
    run_program(main)
