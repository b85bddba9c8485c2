"""Tabulate tokens, activations and prompts of the neurons with the largest reductions."""

import argparse
from pathlib import Path

import pandas as pd

from dpo_neurons.files.tables import write_table
from dpo_neurons.neurons.prompt_projections import open_contributions
from dpo_neurons.running.program import log, obey_threads, run_program


def main() -> None:
    """Parse, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="the first one")
    parser.add_argument("--contributions", type=Path, required=True, help="parquet")
    for stage in ("pre", "post"):
        parser.add_argument(f"--activations-{stage}", type=Path, required=True, help="HDF5")
    parser.add_argument("--tokens", type=int, required=True, help="how many of each vector")
    parser.add_argument("--norm", required=True, choices=("final", "none"), help="before tokens")
    parser.add_argument("--threads", type=int, required=True, help="threads of torch and BLAS")
    parser.add_argument("--output", type=Path, required=True, help="parquet")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    from dpo_neurons.directions.token_texts import TokenTexts
    from dpo_neurons.models.loading import load_tokenizer
    from dpo_neurons.models.unembedding import Unembedding
    from dpo_neurons.neurons.largest_neurons import (
        COLUMNS,
        choose_largest,
        read_activations,
    )
    from dpo_neurons.neurons.promoted_tokens import find_promoted_tokens, read_written_vectors

    paths = (arguments.contributions, arguments.activations_pre, arguments.activations_post)
    with open_contributions(*paths) as (contributions, pre, post):
        neurons = choose_largest(contributions).reset_index(drop=True)
        activations = read_activations(neurons, pre, post)
    promoted = find_promoted_tokens(
        read_written_vectors(arguments.checkpoint, neurons),
        Unembedding(arguments.checkpoint),
        TokenTexts(load_tokenizer(arguments.checkpoint)),
        arguments.tokens,
        arguments.norm,
    )
    write_table(
        arguments.output, pd.concat([neurons, promoted, activations], axis=1)[list(COLUMNS)]
    )
    log.info("%d neurons", len(neurons))


if __name__ == "__main__":
    run_program(main)
