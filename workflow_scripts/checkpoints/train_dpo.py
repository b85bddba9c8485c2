"""Tune a checkpoint on preference pairs, with DPO or an objective like it (trl's DPOTrainer)."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from dpo_neurons.checkpoints.saving import save_checkpoint
from dpo_neurons.errors import InputError
from dpo_neurons.files.tables import write_csv
from dpo_neurons.running.program import add_tuning_arguments, log, obey_threads, run_program
from dpo_neurons.study.datasets import read_dataset

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from dpo_neurons.checkpoints.fine_tuning import TrainingSettings
    from dpo_neurons.checkpoints.objectives import Objective


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="the first checkpoint")
    parser.add_argument("--pairs", type=Path, required=True, help="prompt, chosen, rejected")
    parser.add_argument("--kind", required=True, help="dpo, kto, orpo or simpo")
    parser.add_argument("--loss", help="of kind dpo: sigmoid, ipo, …")
    parser.add_argument("--beta", type=float, required=True)
    parser.add_argument("--label-smoothing", type=float, default=0.0, help="of some losses of dpo")
    parser.add_argument("--gamma", type=float, default=0.0, help="of simpo: the margin")
    for name in ("desirable-weight", "undesirable-weight"):
        parser.add_argument(f"--{name}", type=float, default=1.0, help="of kto")
    parser.add_argument("--kl-weight", type=float, required=True, help="of KL(first ‖ tuned)")
    parser.add_argument("--held-out", type=int, required=True, help="pairs not to train on")
    add_tuning_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="checkpoint directory")
    parser.add_argument("--source-output", type=Path, required=True, help="where it is from, JSON")
    parser.add_argument("--rewards", type=Path, required=True, help="of each step, CSV")
    return parser.parse_args()


def pair_answers(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return the rows as trl reads them: prompt, chosen and rejected answer."""
    from dpo_neurons.checkpoints.fine_tuning import answer_of

    return [
        {"prompt": row["prompt"]} | {name: answer_of(row, name) for name in ("chosen", "rejected")}
        for row in rows
    ]


def tune(
    checkpoint: Path,
    rows: list[dict[str, Any]],
    objective: "Objective",
    training: "TrainingSettings",
    *,
    kl_weight: float,
    held_out: int,
    device_name: str,
) -> tuple["PreTrainedModel", pd.DataFrame]:
    """Tune a checkpoint on preference pairs, all but the last `held_out`.

    Returns the model on the CPU, and the rewards of each step.
    """
    import torch
    from datasets import Dataset
    from trl import DPOConfig

    from dpo_neurons.checkpoints.dpo_training import HeldOutMeasurement, PenalisedDPOTrainer
    from dpo_neurons.checkpoints.fine_tuning import (
        convert_dtype,
        fit_tokenizer,
        train,
        trainer_settings,
        training_dtype,
    )
    from dpo_neurons.models.loading import load_tokenizer, load_trainable_model
    from dpo_neurons.running.devices import lease_device

    pairs = pair_answers(rows)
    n_tuned = len(pairs) - held_out
    tokenizer = fit_tokenizer(load_tokenizer(checkpoint), rows, "chosen")
    with lease_device(device_name) as device:
        torch.manual_seed(training.seed)
        model = load_trainable_model(checkpoint, training_dtype(training.dtype))
        reference = load_trainable_model(checkpoint, training.dtype)
        with trainer_settings(training, model, device) as settings:
            trainer = PenalisedDPOTrainer(
                model=model,
                ref_model=reference,
                args=DPOConfig(**settings),
                train_dataset=Dataset.from_list(pairs[:n_tuned]),
                eval_dataset=Dataset.from_list(pairs[n_tuned:]) if held_out else None,
                processing_class=tokenizer,
                objective=objective,
                kl_weight=kl_weight,
            )
            if held_out:
                trainer.add_callback(HeldOutMeasurement(trainer))
            train(trainer, n_tuned)
        return convert_dtype(model, training.dtype), trainer.rewards.table()


def main() -> None:
    """Parse, tune, write."""
    arguments = parse_arguments()
    obey_threads(arguments.threads)
    from dpo_neurons.checkpoints.fine_tuning import TrainingSettings
    from dpo_neurons.checkpoints.objectives import Objective
    from dpo_neurons.checkpoints.rewards import describe_collapse, describe_rewards

    rows = read_dataset(arguments.pairs, "preference_pairs")
    if arguments.held_out >= len(rows):
        raise InputError(
            f"{arguments.pairs}: {len(rows)} pairs, of which models.….post.held_out keeps "
            f"{arguments.held_out} back; lower it, or give more pairs"
        )
    model, rewards = tune(
        arguments.checkpoint,
        rows,
        Objective(
            arguments.loss or arguments.kind,
            arguments.beta,
            arguments.label_smoothing,
            arguments.gamma,
            arguments.desirable_weight,
            arguments.undesirable_weight,
        ),
        TrainingSettings(
            **{field.name: getattr(arguments, field.name) for field in fields(TrainingSettings)}
        ),
        kl_weight=arguments.kl_weight,
        held_out=arguments.held_out,
        device_name=arguments.device,
    )
    for sentence in filter(None, (describe_rewards(rewards), describe_collapse(rewards))):
        log.info("%s", sentence)
    write_csv(arguments.rewards, rewards)
    save_checkpoint(
        model,
        arguments.checkpoint,
        arguments.output,
        arguments.source_output,
        kind=arguments.kind,
    )


if __name__ == "__main__":
    run_program(main)
