"""Measure how well each neuron of the first checkpoint tells labelled comments apart."""

import argparse
from pathlib import Path

from dpo_neurons.files.tables import write_table
from dpo_neurons.running.program import (
    add_model_arguments,
    add_pair_arguments,
    log,
    obey_threads,
    run_program,
)
from dpo_neurons.study.datasets import read_dataset

MOST_COMMENTS = 2000
"""Comments to read, the first ones: each neuron's activation on each is in memory."""


def main() -> None:
    """Parse, read the comments, rank, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--comments", type=Path, required=True, help="text, labels; JSON lines")
    add_pair_arguments(parser)
    add_model_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="parquet")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    import numpy as np

    from dpo_neurons.checkpoints.pair import apply_pair, read_pair
    from dpo_neurons.models.batches import first_batch_size
    from dpo_neurons.models.loading import load_model, load_tokenizer
    from dpo_neurons.neurons.expert_neurons import score_neurons_as_classifiers
    from dpo_neurons.neurons.rankings import tabulate_ranking
    from dpo_neurons.running.devices import lease_devices

    comments = read_dataset(arguments.comments, "labelled_comments", ["toxic"])[:MOST_COMMENTS]
    labels = np.array([comment["toxic"] >= 0.5 for comment in comments])
    texts = [comment["text"] for comment in comments]
    tokenizer = load_tokenizer(arguments.tokenizer)
    with lease_devices(arguments.device, arguments.gpus) as devices:
        model = load_model(arguments.checkpoint, arguments.dtype, devices, arguments.attention)
        apply_pair(model, read_pair(arguments.pair))
        batch_size = first_batch_size(arguments.batch_size, model.device)
        scores = score_neurons_as_classifiers(model, tokenizer, texts, labels, batch_size)
    write_table(arguments.output, tabulate_ranking(scores))
    log.info("AUROC on %d comments: at most %.4f", len(comments), scores.max())


if __name__ == "__main__":
    run_program(main)
