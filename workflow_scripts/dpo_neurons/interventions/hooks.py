"""The engine: applies any plan to a model inside a `with` block and leaves it bit-identical."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from dpo_neurons.directions.direction_files import orthonormal_rows
from dpo_neurons.interventions.plans import (
    ACTIVATION_OPERATIONS,
    DIRECTION_OPERATIONS,
    SOURCE_OPERATIONS,
    check_plan,
)
from dpo_neurons.interventions.source_activations import SourceActivations
from dpo_neurons.interventions.weight_edits import remove_directions_in_place, scale_keys_in_place
from dpo_neurons.models.architectures import Layers, view_by_prompt

POSITIONS = ("last", "all", "first")


@dataclass(frozen=True)
class Changes:
    """What a plan does to one layer's activations m, neuron by neuron: m · factor + offset.

    All three are (d_mlp,). Where `replaced` is True the offset takes the place of m altogether,
    even if m is infinite; `only_replaces` if no neuron is scaled or added to.
    """

    replaced: Tensor
    factor: Tensor
    offset: Tensor
    only_replaces: bool

    def __call__(self, activations: Tensor) -> Tensor:
        """Apply to activations, (batch, positions, d_mlp)."""
        if not self.only_replaces:
            activations = torch.addcmul(self.offset, activations, self.factor)
        return torch.where(self.replaced, self.offset, activations)


@contextmanager
def apply_plan(
    model: PreTrainedModel,
    plan: pd.DataFrame,
    positions: str,
    direction: np.ndarray | None = None,
    own: SourceActivations | None = None,
) -> Iterator[None]:
    """Run the block with the plan in force.

    positions: where activations and MLP outputs are changed in each forward pass. "last" is the
    newest token, as the paper patches during generation; "all" is every position; "first" is
    position 0 alone, as the reference measured perplexity. Weights are changed for all positions.
    direction: unit rows, (k, d_model), for plans that subtract one (the first row) or remove it
    from value vectors (all that the rows span). own: the second model's activations, for plans that
    give each prompt its own.
    Raises InputError for a plan that does not fit the model.
    """
    if positions not in POSITIONS:
        raise ValueError(f"positions must be one of {POSITIONS}, not {positions!r}")
    layers = Layers.of(model)
    check_plan(plan, n_layers=len(layers.blocks), d_mlp=layers.d_mlp)
    if direction is None and plan["operation"].isin(DIRECTION_OPERATIONS).any():
        raise ValueError("the plan needs a direction")
    if own is None and plan["operation"].isin(SOURCE_OPERATIONS).any():
        raise ValueError("the plan needs the second model's activations")
    where = {"last": slice(-1, None), "first": slice(0, 1)}.get(positions, slice(None))
    batch = _BatchSize()
    with ExitStack() as stack:
        stack.callback(model.register_forward_pre_hook(batch.see, with_kwargs=True).remove)
        for layer, rows in plan.groupby("layer"):
            projection = layers.down_projections[layer]
            by_operation = dict(iter(rows.groupby("operation")))
            on_activations = by_operation.keys() & ACTIVATION_OPERATIONS
            if on_activations:
                given = {
                    name: by_operation[name] for name in on_activations - set(SOURCE_OPERATIONS)
                }
                changes = _changes(given, layers.value_vectors(layer))
                its_own = own if on_activations & set(SOURCE_OPERATIONS) else None
                changer = _changer(changes, where, batch, its_own, layer)
                stack.callback(projection.register_forward_pre_hook(changer).remove)
            if "subtract_direction" in by_operation:
                scale = float(by_operation["subtract_direction"]["value"].iloc[0])
                offset = torch.tensor(scale * direction[0]).to(projection.weight)
                subtracter = _subtracter(offset, where, batch)
                stack.callback(projection.register_forward_hook(subtracter).remove)
            if "scale_key" in by_operation:
                keys = layers.key_vectors(layer)
                stack.enter_context(scale_keys_in_place(keys, by_operation["scale_key"]))
            if "remove_direction" in by_operation:
                stripped = by_operation["remove_direction"]
                values, basis = layers.value_vectors(layer), orthonormal_rows(direction)
                stack.enter_context(remove_directions_in_place(values, stripped, basis))
        yield


def _changes(by_operation: dict[str, pd.DataFrame], like: Tensor) -> Changes:
    """The operations of one layer, merged: a neuron is set, or is scaled and added to."""
    replaced = like.new_zeros(len(like), dtype=torch.bool)
    factor, offset = like.new_ones(len(like)), like.new_zeros(len(like))
    for operation, group in by_operation.items():
        neurons = torch.tensor(group["neuron"].to_numpy(), device=like.device)
        values = torch.tensor(group["value"].to_numpy()).to(like)
        if operation == "scale":
            factor[neurons] = values
        else:
            offset[neurons] = values
        replaced[neurons] = operation == "set"
    return Changes(replaced, factor, offset, set(by_operation) <= {"set"})


class _BatchSize:
    """How many prompts the forward pass under way is made for."""

    rows = 0

    def see(self, model: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Any]) -> None:
        self.rows = len(inputs[0] if inputs else named["input_ids"])


def _changer(
    changes: Changes, where: slice, batch: _BatchSize, own: SourceActivations | None, layer: int
) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    def change(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        given, *rest = inputs
        activations = view_by_prompt(given, batch.rows)
        changed = changes(activations[:, where])
        if own is not None:
            changed = own.put(layer, changed, where)
        if changed.shape[1] < activations.shape[1]:
            everywhere = activations.clone()
            everywhere[:, where] = changed
            changed = everywhere
        return (changed.view(given.shape), *rest)

    return change


def _subtracter(
    offset: Tensor, where: slice, batch: _BatchSize
) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def subtract(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        changed = view_by_prompt(output, batch.rows).clone()
        changed[:, where] -= offset
        return changed.view(output.shape)

    return subtract
