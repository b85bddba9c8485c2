"""Tune a checkpoint on demonstrations (supervised fine-tuning, trl's SFTTrainer)."""

import argparse
from dataclasses import fields
from pathlib import Path

from dpo_neurons.checkpoints.saving import save_checkpoint
from dpo_neurons.running.program import add_tuning_arguments, obey_threads, run_program
from dpo_neurons.study.datasets import read_dataset


def main() -> None:
    """Parse, tune, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="the first checkpoint")
    parser.add_argument("--demonstrations", type=Path, required=True, help="prompt, answer")
    add_tuning_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="checkpoint directory")
    parser.add_argument("--source-output", type=Path, required=True, help="where it is from, JSON")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    import torch

    from dpo_neurons.checkpoints.fine_tuning import (
        TrainingSettings,
        answer_loss,
        answer_of,
        convert_dtype,
        fit_tokenizer,
        train,
        trainer_settings,
        training_dtype,
    )
    from dpo_neurons.models.loading import load_tokenizer, load_trainable_model
    from dpo_neurons.running.devices import lease_device

    rows = read_dataset(arguments.demonstrations, "demonstrations")
    examples = [{"prompt": row["prompt"], "completion": answer_of(row, "answer")} for row in rows]
    training = TrainingSettings(
        **{field.name: getattr(arguments, field.name) for field in fields(TrainingSettings)}
    )
    tokenizer = fit_tokenizer(load_tokenizer(arguments.checkpoint), rows, "answer")
    with lease_device(arguments.device) as device:
        from datasets import Dataset
        from trl import SFTConfig, SFTTrainer

        torch.manual_seed(arguments.seed)
        model = load_trainable_model(arguments.checkpoint, training_dtype(arguments.dtype))
        with trainer_settings(training, model, device) as settings:
            trainer = SFTTrainer(
                model=model,
                args=SFTConfig(**settings, completion_only_loss=True),
                train_dataset=Dataset.from_list(examples),
                processing_class=tokenizer,
                compute_loss_func=answer_loss if arguments.dtype == "float64" else None,
            )
            train(trainer, len(examples))
        model = convert_dtype(model, arguments.dtype)
    save_checkpoint(
        model, arguments.checkpoint, arguments.output, arguments.source_output, kind="sft"
    )


if __name__ == "__main__":
    run_program(main)
