"""The engine: applies any plan to a model inside a `with` block and leaves it bit-identical."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from dpo_neurons.families import Layers, by_prompt
from dpo_neurons.plans import ACTIVATION_OPERATIONS, check_plan

POSITIONS = ("last", "all", "first")


@dataclass(frozen=True)
class Changes:
    """What a plan does to one layer's activations m, neuron by neuron: m · factor + offset.

    All three are (d_mlp,). Where `replaced` is True the offset takes the place of m altogether,
    even if m is infinite.
    """

    replaced: Tensor
    factor: Tensor
    offset: Tensor

    def __call__(self, activations: Tensor) -> Tensor:
        """Apply to activations, (batch, positions, d_mlp)."""
        changed = torch.addcmul(self.offset, activations, self.factor)
        return torch.where(self.replaced, self.offset, changed)


@contextmanager
def applied(model: PreTrainedModel, plan: pd.DataFrame, positions: str) -> Iterator[None]:
    """Run the block with the plan in force.

    positions: where activations are changed in each forward pass. "last" is the newest token, as
    the paper patches during generation; "all" is every position; "first" is position 0 alone, as
    the reference measured perplexity. Key vectors are scaled for all positions: they are weights.
    Raises InputError for a plan that does not fit the model.
    """
    if positions not in POSITIONS:
        raise ValueError(f"positions must be one of {POSITIONS}, not {positions!r}")
    layers = Layers.of(model)
    check_plan(plan, n_layers=len(layers.blocks), d_mlp=layers.d_mlp)
    batch = _BatchSize()
    with ExitStack() as stack:
        stack.callback(model.register_forward_pre_hook(batch.see, with_kwargs=True).remove)
        for layer, rows in plan.groupby("layer"):
            on_activations = rows[rows["operation"].isin(ACTIVATION_OPERATIONS)]
            if len(on_activations):
                projection = layers.down_projections[layer]
                changes = _changes(on_activations, layers.value_vectors(layer))
                hook = projection.register_forward_pre_hook(_changer(changes, positions, batch))
                stack.callback(hook.remove)
            on_keys = rows[rows["operation"] == "scale_key"]
            if len(on_keys):
                stack.enter_context(_scaled_rows(layers.key_vectors(layer), on_keys))
        yield


def _changes(rows: pd.DataFrame, like: Tensor) -> Changes:
    """The operations of one layer, merged: a neuron is set, or is scaled and added to."""
    replaced = like.new_zeros(len(like), dtype=torch.bool)
    factor, offset = like.new_ones(len(like)), like.new_zeros(len(like))
    for operation, group in rows.groupby("operation"):
        neurons = torch.tensor(group["neuron"].to_numpy(), device=like.device)
        values = torch.tensor(group["value"].to_numpy()).to(like)
        if operation == "scale":
            factor[neurons] = values
        else:
            offset[neurons] = values
        replaced[neurons] = operation == "set"
    return Changes(replaced, factor, offset)


class _BatchSize:
    """How many prompts the forward pass under way is made for."""

    rows = 0

    def see(self, model: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Any]) -> None:
        self.rows = len(inputs[0] if inputs else named["input_ids"])


def _changer(
    changes: Changes, positions: str, batch: _BatchSize
) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    where = {"last": slice(-1, None), "first": slice(0, 1)}.get(positions)

    def change(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        given, *rest = inputs
        activations = by_prompt(given, batch.rows)
        if where is None or activations.shape[1] == 1:
            changed = changes(activations)
        else:
            changed = activations.clone()
            changed[:, where] = changes(activations[:, where])
        return (changed.view(given.shape), *rest)

    return change


@contextmanager
def _scaled_rows(key_vectors: Tensor, rows: pd.DataFrame) -> Iterator[None]:
    neurons = torch.tensor(rows["neuron"].to_numpy(), device=key_vectors.device)
    values = torch.tensor(rows["value"].to_numpy()).to(key_vectors)
    original = key_vectors[neurons].clone()
    with torch.no_grad():
        key_vectors[neurons] = original * values[:, None]
    try:
        yield
    finally:
        with torch.no_grad():
            key_vectors[neurons] = original
