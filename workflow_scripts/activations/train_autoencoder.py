"""Train a small sparse autoencoder on the first checkpoint's residual stream."""

import argparse
from dataclasses import fields
from pathlib import Path

from dpo_neurons.checkpoints.saving import files_and_revision
from dpo_neurons.files.provenance import write_source
from dpo_neurons.running.program import add_model_arguments, log, obey_threads, run_program
from dpo_neurons.study.datasets import read_dataset


def main() -> None:
    """Parse, read the states, train, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="the first one")
    parser.add_argument("--text", type=Path, required=True, help="JSON lines with the key text")
    parser.add_argument("--layer", required=True, help="a number, from 0, or last")
    for whole in ("texts", "features", "active", "steps", "states-per-step", "seed"):
        parser.add_argument(f"--{whole}", type=int, required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    add_model_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="folder, as of sae-lens")
    parser.add_argument("--source-output", type=Path, required=True, help="where it is from, JSON")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    import numpy as np

    from dpo_neurons.activations.autoencoder_training import (
        Recipe,
        explained_variance,
        read_states,
        train_autoencoder,
    )
    from dpo_neurons.activations.sparse_autoencoders import write_top_k
    from dpo_neurons.directions.text_states import list_layers
    from dpo_neurons.models.architectures import Layers
    from dpo_neurons.models.batches import first_batch_size
    from dpo_neurons.models.loading import load_model, load_tokenizer
    from dpo_neurons.running.devices import lease_devices

    rows = read_dataset(arguments.text, "training_text")[: arguments.texts]
    tokenizer = load_tokenizer(arguments.checkpoint)
    with lease_devices(arguments.device, arguments.gpus) as devices:
        model = load_model(arguments.checkpoint, arguments.dtype, devices, arguments.attention)
        n_layers = len(Layers.of(model).blocks)
        (layer,) = list_layers(arguments.layer, n_layers, "models.….autoencoders.…")
        batch_size = first_batch_size(arguments.batch_size, model.device)
        texts = [row["text"] for row in rows]
        states = read_states(model, tokenizer, texts, layer, batch_size)
    recipe = Recipe(**{field.name: getattr(arguments, field.name) for field in fields(Recipe)})
    random = np.random.default_rng(arguments.seed)
    autoencoder = train_autoencoder(states, layer, recipe, random)
    explained = f"{explained_variance(autoencoder, states):.6f}"
    log.info("reconstructs %s of the variance of %d states", explained, len(states))
    write_top_k(autoencoder, arguments.output)
    facts = {"kind": "train", "explained_variance": explained}
    write_source(arguments.source_output, {**facts, **files_and_revision(arguments.output)})


if __name__ == "__main__":
    run_program(main)
