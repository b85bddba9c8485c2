"""Tune a checkpoint with DPO on preference pairs (trl's DPOTrainer)."""

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpo_neurons.datasets import read_dataset
from dpo_neurons.output_files import whole_directory
from dpo_neurons.program import device_arguments, log, obey_threads, run_program

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def spaced(pair: dict[str, Any]) -> dict[str, str]:
    """The pair with a space between prompt and answers where the data has none."""
    joined = pair["prompt"][-1:].isspace()
    answers = {
        key: pair[key] if joined or pair[key][:1].isspace() else f" {pair[key]}"
        for key in ("chosen", "rejected")
    }
    return {"prompt": pair["prompt"], **answers}


def tune(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    pairs: list[dict[str, str]],
    arguments: argparse.Namespace,
    device: str,
) -> None:
    """Tune the model in place."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    with tempfile.TemporaryDirectory() as scratch:
        config = DPOConfig(
            output_dir=scratch,
            beta=arguments.beta,
            learning_rate=arguments.learning_rate,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=arguments.warmup_steps,
            max_steps=arguments.steps,
            per_device_train_batch_size=arguments.batch_size,
            optim="rmsprop",
            max_length=model.config.max_position_embeddings,
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=device == "cpu",
            seed=arguments.seed,
            save_strategy="no",
            report_to=[],
            logging_steps=1,
            disable_tqdm=True,
        )
        trainer = DPOTrainer(
            model=model,
            args=config,
            train_dataset=Dataset.from_list(pairs),
            processing_class=tokenizer,
        )
        trainer.train()
        for entry in trainer.state.log_history:
            if "rewards/margins" in entry:
                log.info(
                    "step %d: loss %.4f, reward margin %.4f",
                    entry["step"],
                    entry["loss"],
                    entry["rewards/margins"],
                )


def main() -> None:
    """Parse, tune, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="the first checkpoint")
    parser.add_argument("--pairs", type=Path, required=True, help="prompt, chosen, rejected")
    parser.add_argument("--dtype", required=True)
    parser.add_argument("--beta", type=float, required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    for whole in ("warmup-steps", "steps", "batch-size", "seed"):
        parser.add_argument(f"--{whole}", type=int, required=True)
    device_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="checkpoint directory")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    import torch

    from dpo_neurons.checkpoints import load_tokenizer, load_trainable_model
    from dpo_neurons.devices import leased_device

    pairs = [spaced(pair) for pair in read_dataset(arguments.pairs, "preference_pairs")]
    tokenizer = load_tokenizer(arguments.checkpoint)
    with leased_device(arguments.device) as device:
        torch.manual_seed(arguments.seed)
        model = load_trainable_model(arguments.checkpoint, arguments.dtype)
        tune(model, tokenizer, pairs, arguments, device)
        with whole_directory(arguments.output) as partial:
            model.save_pretrained(partial)
            tokenizer.save_pretrained(partial)


if __name__ == "__main__":
    run_program(main)
