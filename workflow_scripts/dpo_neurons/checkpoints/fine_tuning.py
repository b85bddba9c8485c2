"""Fine-tuning with trl: what DPO and supervised fine-tuning have in common."""

import argparse
import copy
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerState

from dpo_neurons.errors import InputError
from dpo_neurons.running.program import log
from dpo_neurons.running.progress import Progress


def join_with_space(prompt: str, answer: str) -> str:
    """The answer with a space before it where neither it nor the prompt has one."""
    joined = prompt[-1:].isspace() or answer[:1].isspace()
    return answer if joined else f" {answer}"


@contextmanager
def trainer_settings(
    arguments: argparse.Namespace, model: PreTrainedModel, device: str
) -> Iterator[dict[str, Any]]:
    """Yield the settings of trl's trainers that both kinds of tuning take from the arguments.

    The model's weights are kept in float32, in which small steps are not lost; on a GPU the
    arithmetic is done in bfloat16 where that is the dtype asked for. Nothing is saved on the way.
    trl turns the cache off and sets special tokens to the tokenizer's in the model's configuration:
    after the block it is what it was.
    """
    on_gpu = device != "cpu"
    configuration = copy.deepcopy(model.config)
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
    model.config = configuration


class TrainingProgress(TrainerCallback):
    """Counts a trainer's steps."""

    def on_train_begin(
        self, args: object, state: TrainerState, control: object, **named: object
    ) -> None:
        """Begin to count."""
        self._bar = Progress(total=state.max_steps, desc="tuning", unit="step")

    def on_step_end(self, args: object, state: object, control: object, **named: object) -> None:
        """Count a step."""
        self._bar.update()

    def on_train_end(self, args: object, state: object, control: object, **named: object) -> None:
        """End with the last step."""
        self._bar.close()


def train(trainer: Trainer, rows: int, shown: Callable[[dict[str, float]], str | None]) -> None:
    """Train on what trl keeps of `rows` examples, and log what `shown` makes of each step's entry.

    trl leaves out examples whose prompt alone takes max_length tokens, and ends every answer with
    the end-of-sequence token, which is trained on like the rest.
    Raises InputError if no example is left.
    """
    kept = len(trainer.train_dataset)
    longest = trainer.args.max_length
    log.info("%d of %d examples have room for an answer in %d tokens", kept, rows, longest)
    if kept == 0:
        raise InputError(
            f"models.….post.max_tokens: in {longest} tokens no prompt leaves room for an answer; "
            "raise it, or shorten the prompts"
        )
    log.info("each answer ends with %r", trainer.processing_class.eos_token)
    trainer.add_callback(TrainingProgress())
    trainer.train()
    for entry in trainer.state.log_history:
        text = shown(entry)
        if text is not None:
            log.info("step %d: %s", entry["step"], text)


def convert_dtype(model: PreTrainedModel, dtype: str) -> PreTrainedModel:
    """The tuned model on the CPU, in the dtype that it is to be kept in.

    Raises InputError for weights that are no finite numbers in it.
    """
    model = model.to(device="cpu", dtype=getattr(torch, dtype))
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise InputError(
                f"models.….post.learning_rate: training diverged, {name} holds numbers that are "
                f"not finite in {dtype}; lower it, or raise warmup_steps"
            )
    return model
