"""Judge each intervention by fixed rules: does it do what fine-tuning did?"""

import argparse
from pathlib import Path

from dpo_neurons.evaluation import (
    comparison_table,
    faithfulness_table,
    intervention_table,
    random_set_table,
)
from dpo_neurons.evaluation.verdicts import format_verdicts, judge_rows
from dpo_neurons.files.output_files import write_text
from dpo_neurons.files.table_page import to_markdown, to_page
from dpo_neurons.files.tables import read_csv, write_csv
from dpo_neurons.running.program import run_program
from dpo_neurons.study.intervention_rows import METADATA


def main() -> None:
    """Parse, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True, help="of tabulate_interventions, csv")
    parser.add_argument("--tests", type=Path, required=True, help="of compare_interventions, csv")
    parser.add_argument(
        "--faithfulness", type=Path, required=True, help="of tabulate_faithfulness, csv"
    )
    parser.add_argument(
        "--random-sets", type=Path, required=True, help="of tabulate_random_sets, csv"
    )
    parser.add_argument("--model", required=True, help="name, for the page's title")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    parser.add_argument("--page", type=Path, required=True, help="html")
    arguments = parser.parse_args()

    table = judge_rows(
        read_csv(arguments.table, intervention_table.COLUMNS, texts=METADATA),
        read_csv(arguments.tests, comparison_table.COLUMNS),
        read_csv(arguments.faithfulness, faithfulness_table.COLUMNS),
        read_csv(arguments.random_sets, random_set_table.COLUMNS, may_be_empty=True),
    )
    write_csv(arguments.csv, table)
    shown = format_verdicts(table)
    write_text(arguments.markdown, to_markdown(shown))
    write_text(
        arguments.page, to_page(shown, f"Verdicts on the interventions on {arguments.model}")
    )


if __name__ == "__main__":
    run_program(main)
