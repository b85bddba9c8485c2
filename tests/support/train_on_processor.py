"""A program: a tiny GPT-2, drawn, trained and tuned with DPO in float64, on this processor.

Arguments: a file for its weights, as safetensors. Processors are imitated by the environment.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from safetensors.torch import save_file
from trl import DPOConfig

from dpo_neurons.checkpoints.dpo_training import PenalisedDPOTrainer
from dpo_neurons.checkpoints.fine_tuning import TrainingSettings, train, trainer_settings
from dpo_neurons.checkpoints.language_model_training import (
    Recipe,
    build_model,
    train_language_model,
)
from dpo_neurons.checkpoints.objectives import Objective
from dpo_neurons.checkpoints.word_tokenizer import build_tokenizer
from support.tiny_models import WORDS

RECIPE = Recipe("gpt2", 2, 32, 2, 60, 8, 12, 2e-2, 0.5)
TUNING = TrainingSettings(1e-4, 1, 6, 1, 4, None, "float64", 1)


def weights(model: torch.nn.Module, stage: str) -> dict[str, torch.Tensor]:
    """A copy of a model's weights, named by the stage of the training."""
    return {f"{stage} {name}": w.detach().clone() for name, w in model.named_parameters()}


def tune(model: torch.nn.Module, reference: torch.nn.Module, tokenizer: object) -> None:
    """Tune a model on eight pairs, with the KL term."""
    said = WORDS[-8:]
    pairs = [
        {"prompt": " ".join(WORDS[5 + i : 8 + i]), "chosen": f" {a}", "rejected": f" {b}"}
        for i, (a, b) in enumerate(zip(said, reversed(said), strict=True))
    ]
    with trainer_settings(TUNING, model, "cpu") as settings:
        trainer = PenalisedDPOTrainer(
            model=model,
            ref_model=reference,
            args=DPOConfig(**settings),
            train_dataset=Dataset.from_list(pairs),
            processing_class=tokenizer,
            objective=Objective("sigmoid", beta=0.1),
            kl_weight=0.1,
        )
        train(trainer, len(pairs))


def main() -> None:
    """Draw, train, tune; write the weights of all three."""
    torch.set_num_threads(1)
    tokenizer, random = build_tokenizer(WORDS), np.random.default_rng(1)
    model = build_model(RECIPE, tokenizer, random)
    every = weights(model, "drawn")
    ids = torch.arange(400) % 37 + 3
    train_language_model(model, ids, RECIPE, random)
    every |= weights(model, "trained")
    reference = build_model(RECIPE, tokenizer, random)
    reference.load_state_dict(model.state_dict())
    tune(model, reference, tokenizer)
    every |= weights(model, "tuned")
    save_file(every, sys.argv[1], {"capability": torch.backends.cpu.get_cpu_capability()})


if __name__ == "__main__":
    Path(sys.argv[1]).parent.mkdir(parents=True, exist_ok=True)
    main()
