"""Tabulate how near each intervention comes to what fine-tuning did."""

import argparse
from pathlib import Path

from dpo_neurons.evaluation.comparison_table import find_controls
from dpo_neurons.evaluation.faithfulness_table import faithfulness_table, format_faithfulness
from dpo_neurons.evaluation.intervention_table import Bootstrap
from dpo_neurons.evaluation.outcomes import (
    choose_toxicity,
    gather_scores,
    paths_of_entries,
    read_texts,
)
from dpo_neurons.files.output_files import write_text
from dpo_neurons.files.table_page import to_markdown
from dpo_neurons.files.tables import read_csv, write_csv
from dpo_neurons.interventions.divergence_files import read_divergences
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
    add_bootstrap_arguments(parser)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    arguments = parser.parse_args()

    rows = read_csv(arguments.interventions, METADATA, texts=METADATA)
    names = rows["intervention"].tolist()
    divergences, scores = (
        paths_of_entries(arguments.results / part / arguments.model, rows, ".parquet")
        for part in ("faithfulness", "scores")
    )
    table = faithfulness_table(
        read_divergences(divergences, names),
        find_controls(rows),
        choose_toxicity(gather_scores(scores), names),
        read_texts(arguments.results, arguments.model, rows),
        Bootstrap(arguments.resamples, arguments.level, arguments.seed),
    )
    write_csv(arguments.csv, table)
    write_text(arguments.markdown, to_markdown(format_faithfulness(table)))


if __name__ == "__main__":
    run_program(main)
