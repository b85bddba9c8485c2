"""Average a sparse autoencoder's features over what each checkpoint wrote, and over one text."""

import argparse
from pathlib import Path

from dpo_neurons.activations.cache import open_cache_pair
from dpo_neurons.files.hdf5 import new_hdf5, write_array
from dpo_neurons.running.program import (
    add_model_arguments,
    add_pair_arguments,
    log,
    obey_threads,
    run_program,
)
from dpo_neurons.study.datasets import read_dataset
from dpo_neurons.study.study import STAGES


def main() -> None:
    """Parse, read with each checkpoint in turn, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for stage in STAGES:
        parser.add_argument(f"--checkpoint-{stage}", type=Path, required=True)
        parser.add_argument(f"--activations-{stage}", type=Path, required=True, help="HDF5")
    parser.add_argument("--autoencoder", type=Path, required=True, help="folder, as of sae-lens")
    parser.add_argument("--prompts", type=Path, required=True, help="challenge prompts, JSON lines")
    add_pair_arguments(parser)
    add_model_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="HDF5")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    from dpo_neurons.activations.feature_means import READINGS, average_features, check_fit
    from dpo_neurons.activations.sparse_autoencoders import read_autoencoder
    from dpo_neurons.checkpoints.pair import apply_pair, read_pair
    from dpo_neurons.models.batches import first_batch_size
    from dpo_neurons.models.loading import load_model, load_tokenizer
    from dpo_neurons.running.devices import lease_devices

    autoencoder = read_autoencoder(arguments.autoencoder)
    prompts = [row["prompt"] for row in read_dataset(arguments.prompts, "challenge_prompts")]
    tokenizer = load_tokenizer(arguments.tokenizer)
    caches = arguments.activations_pre, arguments.activations_post
    with (
        lease_devices(arguments.device, arguments.gpus) as devices,
        open_cache_pair(*caches) as (of_pre, of_post),
        new_hdf5(arguments.output) as file,
    ):
        for stage in STAGES:
            path = vars(arguments)[f"checkpoint_{stage}"]
            model = load_model(path, arguments.dtype, devices, arguments.attention)
            apply_pair(model, read_pair(arguments.pair))
            check_fit(autoencoder, model, arguments.autoencoder)
            size = first_batch_size(arguments.batch_size, model.device)
            for reading, (reader, text) in READINGS.items():
                if reader != stage:
                    continue
                cache = {"pre": of_pre, "post": of_post}[text]
                means = average_features(model, tokenizer, autoencoder, prompts, cache, size)
                for name, values in zip(("features", "states"), means, strict=True):
                    write_array(file, f"{name}_{reading}", values)
                write_array(file, f"tokens_{reading}", cache["mask"][:].sum(axis=1))
                active = (means[0] > 0).sum(axis=1).mean()
                log.info("%s: %.3g features active in a prompt, on average", reading, active)
            del model


if __name__ == "__main__":
    run_program(main)
