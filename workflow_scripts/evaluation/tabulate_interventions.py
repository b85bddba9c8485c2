"""Tabulate the metrics of a model under every intervention."""

import argparse
from pathlib import Path

from dpo_neurons.evaluation.intervention_table import (
    Bootstrap,
    format_table,
    intervention_table,
)
from dpo_neurons.evaluation.outcomes import read_outcomes, read_writings
from dpo_neurons.files.output_files import write_text
from dpo_neurons.files.table_page import to_markdown, to_page
from dpo_neurons.files.tables import read_csv, write_csv
from dpo_neurons.running.program import add_bootstrap_arguments, run_program
from dpo_neurons.study.intervention_rows import METADATA


def main() -> None:
    """Parse, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="directory of the study")
    parser.add_argument("--model", required=True)
    parser.add_argument(
        "--interventions", type=Path, required=True, help="csv, one row per intervention"
    )
    parser.add_argument("--references", type=Path, required=True, help="prompt, gold")
    add_bootstrap_arguments(parser)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    parser.add_argument("--page", type=Path, required=True, help="html")
    arguments = parser.parse_args()

    rows = read_csv(arguments.interventions, METADATA, texts=METADATA)
    study = arguments.results, arguments.model, rows
    table = intervention_table(
        rows,
        read_outcomes(*study),
        read_writings(*study, arguments.references),
        Bootstrap(arguments.resamples, arguments.level, arguments.seed),
    )
    write_csv(arguments.csv, table)
    shown = format_table(table)
    for path, text in (
        (arguments.markdown, to_markdown(shown)),
        (arguments.page, to_page(shown, f"Interventions on {arguments.model}")),
    ):
        write_text(path, text)


if __name__ == "__main__":
    run_program(main)
