"""Tabulate the toxicity of sampled continuations."""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dpo_neurons.errors import InputError
from dpo_neurons.evaluation.intervention_table import Bootstrap
from dpo_neurons.evaluation.outcomes import gather_scores
from dpo_neurons.evaluation.sample_table import format_samples, sample_table
from dpo_neurons.files.output_files import write_text
from dpo_neurons.files.table_page import to_markdown
from dpo_neurons.files.tables import write_csv
from dpo_neurons.running.program import add_bootstrap_arguments, run_program


def read_samples(paths: Iterable[Path], samples: int) -> dict[str, np.ndarray]:
    """Read the scores of the samples of entries' rows, by row: (samples, n_prompts) each."""
    by_row = {}
    for name, (path, scores) in gather_scores(paths).items():
        if len(scores) % samples:
            raise InputError(
                f"{path}: {len(scores)} scores of row {name} are not {samples} samples of each "
                "prompt; delete it and run again"
            )
        by_row[name] = scores["toxicity"].to_numpy().reshape(samples, -1)
    return by_row


def main() -> None:
    """Parse, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=Path, nargs="*", default=[], help="of entries, parquet")
    parser.add_argument("--samples", type=int, required=True, help="samples of each prompt")
    add_bootstrap_arguments(parser)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    arguments = parser.parse_args()

    table = sample_table(
        read_samples(arguments.scores, arguments.samples),
        Bootstrap(arguments.resamples, arguments.level, arguments.seed),
    )
    write_csv(arguments.csv, table)
    write_text(arguments.markdown, to_markdown(format_samples(table)))


if __name__ == "__main__":
    run_program(main)
