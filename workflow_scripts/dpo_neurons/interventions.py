"""The engine: applies any plan to a model inside a `with` block and leaves it bit-identical."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pandas as pd
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from dpo_neurons.families import Layers
from dpo_neurons.plans import ACTIVATION_OPERATIONS, check_plan

POSITIONS = ("last", "all", "first")


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
    with ExitStack() as stack:
        for layer, rows in plan.groupby("layer"):
            on_activations = rows[rows["operation"].isin(ACTIVATION_OPERATIONS)]
            if len(on_activations):
                projection = layers.down_projections[layer]
                factor, offset = _affine(on_activations, layers.value_vectors(layer))
                hook = projection.register_forward_pre_hook(_changer(factor, offset, positions))
                stack.callback(hook.remove)
            on_keys = rows[rows["operation"] == "scale_key"]
            if len(on_keys):
                stack.enter_context(_scaled_rows(layers.key_vectors(layer), on_keys))
        yield


def _affine(rows: pd.DataFrame, like: Tensor) -> tuple[Tensor, Tensor]:
    """Factor and offset, (d_mlp,) each: every operation on an activation is m · factor + offset."""
    factor, offset = like.new_ones(len(like)), like.new_zeros(len(like))
    for operation, group in rows.groupby("operation"):
        neurons = torch.tensor(group["neuron"].to_numpy(), device=like.device)
        values = torch.tensor(group["value"].to_numpy()).to(like)
        if operation == "scale":
            factor[neurons] = values
        else:
            offset[neurons] = values
        if operation == "set":
            factor[neurons] = 0
    return factor, offset


def _changer(
    factor: Tensor, offset: Tensor, positions: str
) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    where = {"last": slice(-1, None), "first": slice(0, 1)}.get(positions)

    def change(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        activations, *rest = inputs
        if where is None or activations.shape[1] == 1:
            return (torch.addcmul(offset, activations, factor), *rest)
        changed = activations.clone()
        changed[:, where] = torch.addcmul(offset, activations[:, where], factor)
        return (changed, *rest)

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
            key_vectors[neurons] = original
