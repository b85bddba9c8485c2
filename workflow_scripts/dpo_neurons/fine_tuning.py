"""Fine-tuning with trl: what DPO and supervised fine-tuning have in common."""

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel, Trainer

from dpo_neurons.program import log


def with_space(prompt: str, answer: str) -> str:
    """The answer with a space before it where neither it nor the prompt has one."""
    joined = prompt[-1:].isspace() or answer[:1].isspace()
    return answer if joined else f" {answer}"


@contextmanager
def common_settings(
    arguments: argparse.Namespace, model: PreTrainedModel, device: str
) -> Iterator[dict[str, Any]]:
    """Yield the settings of trl's trainers that both kinds of tuning take from the arguments.

    The model's weights are kept in float32, in which small steps are not lost; on a GPU the
    arithmetic is done in bfloat16 where that is the dtype asked for. Nothing is saved on the way.
    """
    on_gpu = device != "cpu"
    with tempfile.TemporaryDirectory() as scratch:
        yield {
            "output_dir": scratch,
            "learning_rate": arguments.learning_rate,
            "lr_scheduler_type": "constant_with_warmup",
            "warmup_steps": arguments.warmup_steps,
            "max_steps": arguments.steps,
            "per_device_train_batch_size": arguments.batch_size,
            "optim": "rmsprop",
            "max_length": arguments.max_tokens or model.config.max_position_embeddings,
            # Recomputing activations changes no number and lets large models fit.
            "gradient_checkpointing": on_gpu,
            "bf16": on_gpu and arguments.dtype == "bfloat16",
            "use_cpu": not on_gpu,
            "seed": arguments.seed,
            "save_strategy": "no",
            "report_to": [],
            "logging_steps": 1,
            "disable_tqdm": True,
        }


def train(trainer: Trainer, shown: Callable[[dict[str, float]], str | None]) -> None:
    """Train, and log what `shown` makes of each step's entry."""
    trainer.train()
    for entry in trainer.state.log_history:
        text = shown(entry)
        if text is not None:
            log.info("step %d: %s", entry["step"], text)


def as_dtype(model: PreTrainedModel, dtype: str) -> PreTrainedModel:
    """The tuned model on the CPU, in the dtype that it is to be kept in."""
    return model.to(device="cpu", dtype=getattr(torch, dtype))
