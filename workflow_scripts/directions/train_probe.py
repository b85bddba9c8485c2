"""Train the probe of one label, whose weight vector is the direction."""

import argparse
from pathlib import Path

from dpo_neurons.directions.direction_files import write_direction
from dpo_neurons.running.program import add_model_arguments, log, obey_threads, run_program
from dpo_neurons.study.datasets import read_dataset


def main() -> None:
    """Parse, train, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--comments", type=Path, required=True, help="text, labels")
    parser.add_argument("--label", default="toxic", help="key of the labels (default: toxic)")
    parser.add_argument("--validation-share", type=float, required=True)
    parser.add_argument("--inverse-regularisation", type=float, required=True)
    parser.add_argument("--max-tokens", type=int, help="of each comment (default: all)")
    parser.add_argument("--seed", type=int, required=True)
    add_model_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="safetensors")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    import numpy as np

    from dpo_neurons.directions.probe import train_probe
    from dpo_neurons.directions.text_states import read_resid_post
    from dpo_neurons.models.batches import first_batch_size
    from dpo_neurons.models.loading import load_model, load_tokenizer
    from dpo_neurons.running.devices import lease_devices

    comments = read_dataset(arguments.comments, "labelled_comments", [arguments.label])
    tokenizer = load_tokenizer(arguments.checkpoint)
    with lease_devices(arguments.device, arguments.gpus) as devices:
        model = load_model(arguments.checkpoint, arguments.dtype, devices, arguments.attention)
        texts = [comment["text"] for comment in comments]
        batch_size = first_batch_size(arguments.batch_size, model.device)
        resid_post = read_resid_post(
            model, tokenizer, texts, batch_size, max_tokens=arguments.max_tokens
        )[:, 0]
    labels = np.array([comment[arguments.label] >= 0.5 for comment in comments], dtype=int)
    probe = train_probe(
        resid_post,
        labels,
        arguments.validation_share,
        arguments.seed,
        arguments.label,
        arguments.inverse_regularisation,
    )
    log.info("%s", probe.describe())
    how = {
        "kind": "probe",
        "label": arguments.label,
        "comments": str(len(comments)),
        "max_tokens": str(arguments.max_tokens or "all"),
        "training_accuracy": f"{probe.training_accuracy:.6f}",
        "validation_accuracy": f"{probe.validation_accuracy:.6f}",
        "validation_low": f"{probe.validation_low:.6f}",
        "validation_high": f"{probe.validation_high:.6f}",
        "validation_majority": f"{probe.majority:.6f}",
        "validation_rows": str(probe.validation_rows),
    }
    write_direction(arguments.output, probe.weight, how)


if __name__ == "__main__":
    run_program(main)
