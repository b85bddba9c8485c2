"""Tabulate how many neurons the interventions on a model share, and how many by chance."""

import argparse
from pathlib import Path

from dpo_neurons.evaluation.overlaps import format_overlaps, tabulate_overlaps
from dpo_neurons.files.output_files import write_text
from dpo_neurons.files.table_page import to_markdown
from dpo_neurons.files.tables import write_csv
from dpo_neurons.interventions.plans import read_plans
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.running.program import run_program


def main() -> None:
    """Parse, count, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plans", type=Path, nargs="+", required=True, help="parquet")
    parser.add_argument("--contributions", type=Path, required=True, help="parquet")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    arguments = parser.parse_args()

    d_mlp = int(read_contributions(arguments.contributions)["neuron"].max()) + 1
    table = tabulate_overlaps(read_plans(*arguments.plans), d_mlp)
    write_csv(arguments.csv, table)
    write_text(arguments.markdown, to_markdown(format_overlaps(table)))


if __name__ == "__main__":
    run_program(main)
