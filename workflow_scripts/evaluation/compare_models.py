"""Tabulate all models of a study side by side."""

import argparse
from pathlib import Path

import pandas as pd

from dpo_neurons.evaluation.model_comparison import (
    DIRECTIONS_COLUMNS,
    GROUPS_COLUMNS,
    RANDOM_SETS_COLUMNS,
    STREAM_COLUMNS,
    TABLE_COLUMNS,
    TESTS_COLUMNS,
    TOTALS_COLUMNS,
    VERDICTS_COLUMNS,
    ModelTables,
    format_models,
    model_rows,
)
from dpo_neurons.files.output_files import write_text
from dpo_neurons.files.table_page import to_markdown, to_page
from dpo_neurons.files.tables import read_csv, write_csv
from dpo_neurons.running.program import run_program


def main() -> None:
    """Parse, gather, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="directory of the study")
    parser.add_argument("--models", nargs="+", required=True, help="names, in order")
    parser.add_argument("--direction", required=True, help="name of the study's direction")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    parser.add_argument("--page", type=Path, required=True, help="html")
    arguments = parser.parse_args()

    results, direction = arguments.results, arguments.direction
    comparison = pd.concat(
        [
            model_rows(
                model,
                ModelTables(
                    totals=read_csv(results / f"totals/{model}/{direction}.csv", TOTALS_COLUMNS),
                    groups=read_csv(results / f"groups/{model}/{direction}.csv", GROUPS_COLUMNS),
                    table=read_csv(results / f"tables/{model}.csv", TABLE_COLUMNS),
                    tests=read_csv(results / f"tables/{model}.tests.csv", TESTS_COLUMNS),
                    random_sets=read_csv(
                        results / f"tables/{model}.random_sets.csv",
                        RANDOM_SETS_COLUMNS,
                        may_be_empty=True,
                    ),
                    random_directions=read_csv(
                        results / f"random_directions/{model}/{direction}.csv", DIRECTIONS_COLUMNS
                    ),
                    stream=read_csv(
                        results / f"stream_split/{model}/{direction}.totals.csv", STREAM_COLUMNS
                    ),
                    verdicts=read_csv(
                        results / f"tables/{model}.verdicts.csv",
                        VERDICTS_COLUMNS,
                        texts=VERDICTS_COLUMNS,
                    ),
                ),
            )
            for model in arguments.models
        ],
        ignore_index=True,
    )
    write_csv(arguments.csv, comparison)
    shown = format_models(comparison)
    for path, text in (
        (arguments.markdown, to_markdown(shown)),
        (arguments.page, to_page(shown, "The models of the study")),
    ):
        write_text(path, text)


if __name__ == "__main__":
    run_program(main)
