"""Fine-tuning with trl: what DPO and supervised fine-tuning have in common.

The optimiser is RMSprop, with a linear warm-up to a constant rate, as in Lee et al. 2024 (arXiv
2401.01967), whose checkpoint v1 studies, and in Yang et al. (arXiv 2411.06424v3).
"""

import copy
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
)
from transformers.modeling_outputs import CausalLMOutput

from dpo_neurons.errors import InputError
from dpo_neurons.models.tokenization import follow_template, stop_appending
from dpo_neurons.running.program import log
from dpo_neurons.running.progress import Progress
from dpo_neurons.study.datasets import RENDERED


@dataclass(frozen=True)
class TrainingSettings:
    """How to fine-tune; the fields are keys of `models.….post` in the configuration."""

    learning_rate: float
    warmup_steps: int
    steps: int
    max_grad_norm: float
    """Longest gradient; a longer one is shortened to it."""
    batch_size: int
    max_tokens: int | None
    """Of prompt and answer together; None: as many as the model reads."""
    dtype: str
    """Of the tuned weights."""
    seed: int


def separate_answer(prompt: str, answer: str) -> str:
    """Put a space before the answer where neither it nor the prompt has one."""
    separated = prompt[-1:].isspace() or answer[:1].isspace()
    return answer if separated else f" {answer}"


def answer_of(row: dict[str, Any], key: str) -> str:
    """A row's answer as it follows its prompt: as a chat template wrote it, or else separated."""
    answer = str(row[key])
    return answer if row.get(RENDERED) else separate_answer(row["prompt"], answer)


def fit_tokenizer(
    tokenizer: PreTrainedTokenizerBase, rows: list[dict[str, Any]], key: str
) -> PreTrainedTokenizerBase:
    """Return a tokenizer for trl, which begins prompts and ends answers once each.

    key: of the rows' answers.
    """
    if rows[0].get(RENDERED):
        return follow_template(tokenizer, rows[0]["prompt"], rows[0][key])
    return stop_appending(tokenizer)


@contextmanager
def trainer_settings(
    training: TrainingSettings, model: PreTrainedModel, device: str
) -> Iterator[dict[str, Any]]:
    """Yield the settings of trl's trainers that both kinds of fine-tuning share.

    On a GPU the arithmetic is bfloat16 if training.dtype is. Nothing is saved during training. trl
    changes the model's configuration: it turns the cache off and sets special tokens to the
    tokenizer's. The configuration is restored after the block.
    """
    on_gpu = device != "cpu"
    configuration = copy.deepcopy(model.config)
    with tempfile.TemporaryDirectory() as scratch:
        yield {
            "output_dir": scratch,
            "learning_rate": training.learning_rate,
            "lr_scheduler_type": "constant_with_warmup",
            "warmup_steps": training.warmup_steps,
            "max_steps": training.steps,
            "max_grad_norm": training.max_grad_norm,
            "per_device_train_batch_size": training.batch_size,
            "optim": "rmsprop",
            "max_length": training.max_tokens or model.config.max_position_embeddings,
            # Recomputing activations changes no number and lets large models fit.
            "gradient_checkpointing": on_gpu,
            "bf16": on_gpu and training.dtype == "bfloat16",
            "use_cpu": not on_gpu,
            "seed": training.seed,
            "save_strategy": "no",
            "report_to": [],
            "logging_steps": 1,
            "disable_tqdm": True,
        }
    model.config = configuration


def training_dtype(dtype: str) -> str:
    """Number format of the weights while they are tuned, by that of the tuned checkpoint.

    It is float32 at least, in which small steps are not lost.
    """
    return "float64" if dtype == "float64" else "float32"


def answer_loss(
    outputs: CausalLMOutput, labels: Tensor, num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """Mean loss of a batch's answer tokens in nats, in the format of the logits.

    A trainer's own loss converts logits to float32. labels: (batch, length), -100 outside answers.
    num_items_in_batch: answer tokens that the step has in all.
    """
    assert outputs.logits is not None
    logits, following = outputs.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
    total = functional.cross_entropy(logits, following, ignore_index=-100, reduction="sum")
    return total / (num_items_in_batch or (following != -100).sum())


class TrainingProgress(TrainerCallback):
    """Shows a trainer's steps as a progress bar."""

    def on_train_begin(
        self, args: object, state: TrainerState, control: object, **named: object
    ) -> None:
        """Start the bar."""
        self._bar = Progress(total=state.max_steps, desc="tuning", unit="step")

    def on_step_end(self, args: object, state: object, control: object, **named: object) -> None:
        """Count a step."""
        self._bar.update()

    def on_train_end(self, args: object, state: object, control: object, **named: object) -> None:
        """Close the bar."""
        self._bar.close()


def train(trainer: Trainer, examples: int) -> None:
    """Run one of trl's trainers, made from so many `examples`, and log its steps.

    trl leaves out examples whose prompt alone takes max_length tokens. It ends every answer with
    the end-of-sequence token, which is trained on like the rest.
    Raises InputError if trl leaves out all examples.
    """
    dataset: Any = trainer.train_dataset
    settings: Any = trainer.args
    tokenizer: Any = trainer.processing_class
    log.info(
        "%d of %d examples have room for an answer in %d tokens",
        len(dataset), examples, settings.max_length,
    )  # fmt: skip
    if len(dataset) == 0:
        raise InputError(
            f"models.….post.max_tokens: in {settings.max_length} tokens no prompt leaves room for "
            "an answer; raise it, or shorten the prompts"
        )
    log.info("each answer ends with %r", tokenizer.eos_token)
    trainer.remove_callback(PrinterCallback)  # it prints a dictionary a step to the terminal
    trainer.add_callback(TrainingProgress())
    trainer.train()
    for entry in trainer.state.log_history:
        if "loss" in entry:
            log.info("step %d: %s", entry["step"], describe_step(entry))


def describe_step(entry: dict[str, float]) -> str:
    """Describe a step by its entry in a trainer's log.

    It has a loss and, in DPO, a margin between the rewards of chosen and rejected answers.
    """
    text = f"loss {entry['loss']:.4f}"
    if "rewards/margins" in entry:
        text += f", reward margin {entry['rewards/margins']:.4f}"
    return text


def convert_dtype(model: PreTrainedModel, dtype: str) -> PreTrainedModel:
    """Move the tuned model to the CPU and convert it to `dtype`, a torch dtype's name.

    Raises InputError for weights that are not finite in that dtype.
    """
    to_move: Any = model  # transformers hides the types of `to`
    converted: PreTrainedModel = to_move.to(device="cpu", dtype=getattr(torch, dtype))
    for name, weight in converted.named_parameters():
        if not weight.isfinite().all():
            raise InputError(
                f"models.….post.learning_rate: training diverged, {name} holds numbers that are "
                f"not finite in {dtype}; lower it, or raise warmup_steps"
            )
    return converted
