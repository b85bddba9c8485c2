"""Tabulate the toxicity of sampled continuations."""

import argparse
from pathlib import Path

import numpy as np

from dpo_neurons.errors import InputError
from dpo_neurons.evaluation.intervention_table import Bootstrap
from dpo_neurons.evaluation.sample_table import format_samples, sample_table
from dpo_neurons.files.output_files import write_text
from dpo_neurons.files.table_page import to_markdown
from dpo_neurons.files.tables import read_table, write_csv
from dpo_neurons.running.program import add_bootstrap_arguments, run_program


def read_scores(path: Path, samples: int) -> np.ndarray:
    """Read the scores of a row's samples: (samples, n_prompts)."""
    scores = read_table(path, ("toxicity",), "scores need")["toxicity"].to_numpy()
    if len(scores) % samples:
        raise InputError(
            f"{path}: {len(scores)} rows are not {samples} samples of each prompt; delete it and "
            "run again"
        )
    return scores.reshape(samples, -1)


def main() -> None:
    """Parse, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--scores", type=Path, nargs="*", default=[], help="parquet, named after interventions"
    )
    parser.add_argument("--samples", type=int, required=True, help="samples of each prompt")
    add_bootstrap_arguments(parser)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    arguments = parser.parse_args()

    table = sample_table(
        {path.stem: read_scores(path, arguments.samples) for path in arguments.scores},
        Bootstrap(arguments.resamples, arguments.level, arguments.seed),
    )
    write_csv(arguments.csv, table)
    write_text(arguments.markdown, to_markdown(format_samples(table)))


if __name__ == "__main__":
    run_program(main)
