"""Tabulate what a study used: data sets and checkpoints, where they are from, checksums."""

import argparse
from pathlib import Path

from dpo_neurons.output_files import whole_file
from dpo_neurons.program import run_program
from dpo_neurons.source_table import source_table, to_page


def main() -> None:
    """Parse, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="directory of the study")
    parser.add_argument("--sources", nargs="+", type=Path, required=True, help="*.source.json")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--page", type=Path, required=True, help="html")
    arguments = parser.parse_args()

    table = source_table(arguments.sources, arguments.results)
    with whole_file(arguments.csv) as partial:
        table.to_csv(partial, index=False)
    with whole_file(arguments.page) as partial:
        partial.write_text(to_page(table, "What this study used"), encoding="utf-8")


if __name__ == "__main__":
    run_program(main)
