"""Compare models that several seeds of one recipe made."""

import argparse
from pathlib import Path

from dpo_neurons.evaluation.seed_table import (
    GROUPS_COLUMNS,
    ROWS_COLUMNS,
    TESTS_COLUMNS,
    format_seeds,
    tabulate_seeds,
)
from dpo_neurons.files.output_files import write_text
from dpo_neurons.files.table_page import to_markdown, to_page
from dpo_neurons.files.tables import read_csv, write_csv
from dpo_neurons.running.program import run_program


def main() -> None:
    """Parse, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", required=True, help="names, the recipe's first")
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="of each, csv")
    parser.add_argument("--tests", type=Path, nargs="+", required=True, help="of each, csv")
    parser.add_argument("--groups", type=Path, nargs="+", required=True, help="of each, csv")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    parser.add_argument("--page", type=Path, required=True, help="html")
    arguments = parser.parse_args()

    names = arguments.models
    rows = [read_csv(path, ROWS_COLUMNS) for path in arguments.tables]
    tests = [read_csv(path, TESTS_COLUMNS) for path in arguments.tests]
    groups = [read_csv(path, GROUPS_COLUMNS) for path in arguments.groups]
    table = tabulate_seeds(
        *(dict(zip(names, tables, strict=True)) for tables in (rows, tests, groups))
    )
    write_csv(arguments.csv, table)
    shown = format_seeds(table, names)
    write_text(arguments.markdown, to_markdown(shown))
    write_text(arguments.page, to_page(shown, f"{names[0]} over seeds"))


if __name__ == "__main__":
    run_program(main)
