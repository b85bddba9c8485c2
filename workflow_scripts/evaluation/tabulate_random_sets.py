"""Tabulate the toxicity of interventions beside that of random sets of neurons."""

import argparse
from pathlib import Path

import pandas as pd

from dpo_neurons.evaluation.intervention_table import COLUMNS
from dpo_neurons.evaluation.outcomes import gather_scores
from dpo_neurons.evaluation.random_set_table import format_random_sets, random_set_table
from dpo_neurons.files.output_files import write_text
from dpo_neurons.files.table_page import to_markdown
from dpo_neurons.files.tables import read_csv, write_csv
from dpo_neurons.interventions.continuation_files import read_continuations
from dpo_neurons.running.program import run_program


def main() -> None:
    """Parse, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True, help="csv, of tabulate_interventions")
    parser.add_argument("--texts", type=Path, nargs="*", default=[], help="JSON lines of entries")
    parser.add_argument("--scores", type=Path, nargs="*", default=[], help="of them, parquet")
    parser.add_argument("--level", type=float, required=True, help="of the random sets' interval")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    arguments = parser.parse_args()

    texts: dict[str, pd.DataFrame] = {}
    for path in arguments.texts:
        by_row = read_continuations(path).groupby("intervention", sort=False)
        texts |= {str(name): lines for name, lines in by_row}
    toxicity = {
        name: scores.lines["toxicity"].to_numpy()
        for name, scores in gather_scores(arguments.scores).items()
    }
    interventions = read_csv(arguments.table, COLUMNS, texts=("intervention",))
    table = random_set_table(interventions, texts, toxicity, arguments.level)
    write_csv(arguments.csv, table)
    write_text(arguments.markdown, to_markdown(format_random_sets(table)))


if __name__ == "__main__":
    run_program(main)
