"""Train a small language model from scratch, for a toy study."""

import argparse
from dataclasses import fields
from pathlib import Path

from dpo_neurons.checkpoints.saving import save_checkpoint
from dpo_neurons.running.program import log, obey_threads, run_program
from dpo_neurons.study.datasets import read_dataset


def main() -> None:
    """Parse, train, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=Path, required=True, help="JSON lines with the key text")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--architecture", required=True, help="gpt2, llama, mistral or gemma2")
    for whole in ("layers", "width", "heads", "steps", "batch-size", "sequence-length", "seed"):
        parser.add_argument(f"--{whole}", type=int, required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--neuron-dropout", type=float, required=True)
    parser.add_argument("--dtype", required=True, help="of the weights as they are saved")
    parser.add_argument("--threads", type=int, required=True, help="threads of torch and BLAS")
    parser.add_argument("--output", type=Path, required=True, help="checkpoint directory")
    parser.add_argument("--source-output", type=Path, required=True, help="where it is from, JSON")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    import numpy as np
    import torch

    from dpo_neurons.checkpoints.language_model_training import (
        Recipe,
        build_model,
        train_language_model,
    )
    from dpo_neurons.models.loading import load_tokenizer

    recipe = Recipe(**{field.name: getattr(arguments, field.name) for field in fields(Recipe)})
    tokenizer = load_tokenizer(arguments.tokenizer)
    texts = [row["text"] for row in read_dataset(arguments.text, "training_text")]
    joined = f" {tokenizer.eos_token} ".join(texts)
    ids = tokenizer(joined, return_tensors="pt", verbose=False)["input_ids"][0]
    random = np.random.default_rng(arguments.seed)
    model = build_model(recipe, tokenizer, random)
    loss = train_language_model(model, ids, recipe, random)
    log.info("loss %.4f nats a token after %d steps on %d tokens", loss, recipe.steps, len(ids))
    save_checkpoint(
        model.to(getattr(torch, arguments.dtype)),
        arguments.tokenizer,
        arguments.output,
        arguments.source_output,
        kind="train_from_scratch",
    )


if __name__ == "__main__":
    run_program(main)
