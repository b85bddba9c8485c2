"""Test a model's interventions against each other, paired by prompt and by window."""

import argparse
from pathlib import Path

from dpo_neurons.evaluation.comparison_table import (
    comparison_table,
    describe_few_pairs,
    format_comparisons,
)
from dpo_neurons.evaluation.intervention_table import Bootstrap
from dpo_neurons.evaluation.outcomes import read_outcomes
from dpo_neurons.files.output_files import write_text
from dpo_neurons.files.table_page import to_markdown
from dpo_neurons.files.tables import read_csv, write_csv
from dpo_neurons.running.program import add_bootstrap_arguments, log, run_program
from dpo_neurons.study.intervention_rows import METADATA


def main() -> None:
    """Parse, test, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="directory of the study")
    parser.add_argument("--model", required=True)
    parser.add_argument("--table", type=Path, required=True, help="csv, of tabulate_interventions")
    add_bootstrap_arguments(parser)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    arguments = parser.parse_args()

    rows = read_csv(arguments.table, (*METADATA, "no_longer_writes"))
    outcomes = read_outcomes(arguments.results, arguments.model, rows)
    bootstrap = Bootstrap(arguments.resamples, arguments.level, arguments.seed)
    table = comparison_table(outcomes, rows, bootstrap)
    if warning := describe_few_pairs(table, outcomes):
        log.info("%s", warning)
    write_csv(arguments.csv, table)
    shown = to_markdown(format_comparisons(table))
    write_text(arguments.markdown, f"{shown}\n{warning}\n" if warning else shown)


if __name__ == "__main__":
    run_program(main)
