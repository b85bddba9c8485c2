"""Tabulate a model's rows under every scorer, and how far the scorers agree."""

import argparse
from pathlib import Path

from dpo_neurons.evaluation.intervention_table import Bootstrap
from dpo_neurons.evaluation.scorer_tables import (
    format_agreement,
    format_rows,
    read_scorers,
    tabulate_agreement,
    tabulate_rows,
)
from dpo_neurons.files.output_files import write_text
from dpo_neurons.files.table_page import to_markdown
from dpo_neurons.files.tables import read_csv, write_csv
from dpo_neurons.running.program import add_bootstrap_arguments, run_program


def main() -> None:
    """Parse, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="directory of the study")
    parser.add_argument("--model", required=True)
    parser.add_argument("--table", type=Path, required=True, help="csv, of tabulate_interventions")
    parser.add_argument("--scorers", nargs="+", required=True, help="names of further scorers")
    add_bootstrap_arguments(parser)
    parser.add_argument("--csv", type=Path, required=True, help="rows under every scorer")
    parser.add_argument("--markdown", type=Path, required=True)
    parser.add_argument("--agreement-csv", type=Path, required=True, help="a line two scorers")
    parser.add_argument("--agreement-markdown", type=Path, required=True)
    arguments = parser.parse_args()

    rows = read_csv(arguments.table, ("intervention", "entry", "no_longer_writes"))
    scores = read_scorers(arguments.results, arguments.model, rows, arguments.scorers)
    bootstrap = Bootstrap(arguments.resamples, arguments.level, arguments.seed)
    table = tabulate_rows(scores, rows, bootstrap)
    write_csv(arguments.csv, table)
    write_text(arguments.markdown, to_markdown(format_rows(table)))
    agreement = tabulate_agreement(scores, rows)
    write_csv(arguments.agreement_csv, agreement)
    write_text(arguments.agreement_markdown, to_markdown(format_agreement(agreement)))


if __name__ == "__main__":
    run_program(main)
