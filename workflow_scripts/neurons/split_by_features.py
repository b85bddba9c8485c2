"""Split the shift along a direction by the features of a sparse autoencoder."""

import argparse
from pathlib import Path

import pandas as pd

from dpo_neurons.activations.cache import open_cache
from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.files.tables import write_csv
from dpo_neurons.running.program import (
    add_bootstrap_arguments,
    log,
    obey_threads,
    run_program,
)


def main() -> None:
    """Parse, split on each model's own text and on the first one's, describe features, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="the first one")
    parser.add_argument("--autoencoder", type=Path, required=True, help="folder, as of sae-lens")
    parser.add_argument("--features", type=Path, required=True, help="HDF5, of average_features")
    parser.add_argument("--direction", type=Path, required=True, help="only its first row counts")
    parser.add_argument("--tokens", type=int, required=True, help="how many of each feature")
    parser.add_argument("--norm", required=True, choices=("final", "none"), help="before tokens")
    parser.add_argument("--threads", type=int, required=True, help="threads of torch and BLAS")
    add_bootstrap_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="csv")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    from dpo_neurons.activations.feature_means import DATASETS
    from dpo_neurons.activations.sparse_autoencoders import read_autoencoder
    from dpo_neurons.directions.token_texts import TokenTexts
    from dpo_neurons.models.loading import load_tokenizer
    from dpo_neurons.models.unembedding import Unembedding
    from dpo_neurons.models.value_vectors import check_width
    from dpo_neurons.neurons.feature_shifts import (
        ALL,
        COLUMNS,
        TEXTS,
        describe_features,
        read_reading,
        split_by_features,
    )

    direction = read_direction(arguments.direction)[0]
    decoder = read_autoencoder(arguments.autoencoder).tensors["W_dec"].double().numpy()
    check_width(direction[None], decoder.shape[1], arguments.direction, arguments.autoencoder)
    bootstrap = arguments.resamples, arguments.level, arguments.seed
    with open_cache(arguments.features, DATASETS) as file:
        pre = read_reading(file, "pre")
        splits = {
            text: split_by_features(
                pre, read_reading(file, reading), decoder, direction, *bootstrap
            )
            for text, reading in TEXTS.items()
        }
    table = pd.concat(splits, names=["text"]).reset_index(level="text")
    described = describe_features(
        table["feature"].dropna().unique().astype(int),
        decoder,
        arguments.checkpoint,
        arguments.autoencoder,
        Unembedding(arguments.checkpoint),
        TokenTexts(load_tokenizer(arguments.checkpoint)),
        arguments.tokens,
        arguments.norm,
    )
    table = table.join(described, on="feature")[list(COLUMNS)]
    write_csv(arguments.output, table)
    log.info("the whole reduction\n%s", table[table["part"] == ALL].to_string(index=False))


if __name__ == "__main__":
    run_program(main)
