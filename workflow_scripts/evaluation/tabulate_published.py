"""Tabulate published numbers beside those of a model."""

import argparse
from pathlib import Path

from dpo_neurons.evaluation.published import (
    GROUP_COLUMNS,
    PUBLISHED_COLUMNS,
    TABLE_COLUMNS,
    format_published,
    published_table,
)
from dpo_neurons.files.output_files import write_text
from dpo_neurons.files.table_page import to_markdown
from dpo_neurons.files.tables import read_csv, write_csv
from dpo_neurons.running.program import run_program

METADATA_TEXTS = ("kind", "direction", "by", "file", "values", "activation", "groups")
TEXTS = ("set", "quantity", "of", "kind", "activation", "groups", "mistakes")


def main() -> None:
    """Read, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--published", type=Path, required=True, help="published numbers, csv")
    parser.add_argument("--set", required=True, help="the set of published numbers")
    parser.add_argument("--table", type=Path, required=True, help="of interventions, csv")
    parser.add_argument("--direction", required=True, help="name of the study's direction")
    parser.add_argument("--totals", type=Path, required=True)
    parser.add_argument("--groups", type=Path, required=True)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    arguments = parser.parse_args()

    numbers = read_csv(arguments.published, PUBLISHED_COLUMNS, texts=TEXTS, has_checksum=False)
    table = published_table(
        numbers[numbers["set"] == arguments.set],
        read_csv(arguments.table, TABLE_COLUMNS, texts=METADATA_TEXTS),
        read_csv(arguments.totals, ("quantity", "value", "low", "high")),
        read_csv(arguments.groups, GROUP_COLUMNS),
        arguments.direction,
    )
    write_csv(arguments.csv, table)
    write_text(arguments.markdown, to_markdown(format_published(table)))


if __name__ == "__main__":
    run_program(main)
