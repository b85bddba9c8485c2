"""Tabulate a study's data sets and checkpoints, with their origins and checksums."""

import argparse
from pathlib import Path

from dpo_neurons.files.output_files import write_text
from dpo_neurons.files.tables import write_csv
from dpo_neurons.running.program import run_program
from dpo_neurons.study.source_table import source_table, to_page


def main() -> None:
    """Parse, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="directory of the study")
    parser.add_argument("--sources", nargs="+", type=Path, required=True, help="*.source.json")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--page", type=Path, required=True, help="html")
    arguments = parser.parse_args()

    table = source_table(arguments.sources, arguments.results)
    write_csv(arguments.csv, table)
    write_text(arguments.page, to_page(table, "What this study used"))


if __name__ == "__main__":
    run_program(main)
