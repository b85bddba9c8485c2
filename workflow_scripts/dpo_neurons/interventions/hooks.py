"""The engine: applies any plan inside a block and restores the model exactly."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from dpo_neurons.directions.direction_files import orthonormal_rows
from dpo_neurons.interventions.operations import (
    OPERATIONS,
    ActivationOperation,
    ActivationTerms,
    Operation,
    OutputOperation,
    SiteOperation,
    SourceOperation,
    StreamOperation,
    TransplantOperation,
    WeightOperation,
    list_operations,
    needs_direction,
)
from dpo_neurons.interventions.plans import check_plan
from dpo_neurons.interventions.source_activations import SourceActivations
from dpo_neurons.interventions.transplants import WeightDonor, put_in_weights
from dpo_neurons.models.architectures import Layers, Site, view_by_prompt
from dpo_neurons.models.shared_layers import BlockOutput
from dpo_neurons.models.weight_parts import OUTSIDE_LAYERS

POSITIONS = ("last", "all", "first")
Undo = Callable[[], object]
Change = Callable[[], Undo]
"""Changes the model, and returns the function that undoes that."""


@dataclass(frozen=True)
class PreparedPlan:
    """A plan for one model as tensors on its devices, to be applied any number of times."""

    model: PreTrainedModel
    changes: Sequence[Change]
    """Of hooks and of key and value vectors, in order."""
    transplants: pd.DataFrame
    """The plan's rows that put in the other checkpoint's weights."""
    donor: WeightDonor | None
    """The other checkpoint, for these rows."""
    batch: "_BatchSize"
    """Read by hooks among the changes."""

    @contextmanager
    def apply(self) -> Iterator[None]:
        """Run the block with the plan in force."""
        see = self.model.register_forward_pre_hook(self.batch.see, with_kwargs=True)
        with ExitStack() as stack:
            stack.callback(see.remove)
            for replaced in put_in_weights(self.model, self.donor, self.transplants):
                stack.callback(_restore_vectors, *replaced)
            for change in self.changes:
                stack.callback(change())
            yield


@contextmanager
def apply_plan(
    model: PreTrainedModel,
    plan: pd.DataFrame,
    positions: str,
    direction: np.ndarray | None = None,
    source: SourceActivations | None = None,
    donor: WeightDonor | None = None,
    shifts: Mapping[str, np.ndarray] | None = None,
) -> Iterator[None]:
    """Run the block with the plan in force; the arguments are those of `prepare_plan`."""
    with prepare_plan(model, plan, positions, direction, source, donor, shifts).apply():
        yield


def prepare_plan(
    model: PreTrainedModel,
    plan: pd.DataFrame,
    positions: str,
    direction: np.ndarray | None = None,
    source: SourceActivations | None = None,
    donor: WeightDonor | None = None,
    shifts: Mapping[str, np.ndarray] | None = None,
    n_newest: int = 1,
) -> PreparedPlan:
    """Prepare a plan for a model, which stays as it is until the plan is applied.

    positions: where activations and MLP outputs change in each forward pass. "last" is the newest
    token, where the paper patches during generation (Yang et al. 2024, arXiv 2411.06424v1, section
    5), or the `n_newest` newest ones, where a pass reads several that are generated one by one.
    "all" is every position. "first" is position 0 alone, where the reference's code patches
    when it measures perplexity. Changes of weights act at all positions.
    direction: unit rows, (k, d_model), for plans that subtract the first row or remove the rows'
    span from value vectors. source: the source model's activations, for plans that assign each
    prompt's own. donor: the other checkpoint, for plans that put its weights in. shifts: by name,
    (n_layers, d_model), for plans that add them to the residual stream.
    Raises InputError for a plan that does not fit the model.
    """
    if positions not in POSITIONS:
        raise ValueError(f"positions must be one of {POSITIONS}, not {positions!r}")
    layers = Layers.of(model)
    check_plan(plan, len(layers.blocks), layers.d_mlp, layers.d_attn)
    operations = set(plan["operation"])
    check_direction(plan, direction)
    if source is None and operations & set(list_operations(SourceOperation)):
        raise ValueError("the plan needs the source model's activations")
    where = {"last": slice(-n_newest, None), "first": slice(0, 1)}.get(positions, slice(None))
    basis = None if direction is None else orthonormal_rows(direction)
    batch, changes = _BatchSize(), list[Change]()
    in_layers = plan[plan["layer"] != OUTSIDE_LAYERS]
    for layer, rows in in_layers.groupby("layer"):
        by_operation = group_operations(rows)
        for site in get_args(Site):
            at_site = of_site(by_operation, site)
            if at_site:
                like = layers.read_vectors(site, layer)
                hook = _make_activation_hook(at_site, like, where, batch, source, layer, site)
                changes.append(partial(_hook_reader, layers.readers(site)[layer], hook))
        for operation, group in by_operation.items():
            if isinstance(operation, OutputOperation) and direction is not None:
                vector = -float(group["value"].iloc[0]) * direction[0]
                changes.append(_prepare_mlp_output(layers, layer, vector, where, batch))
            if isinstance(operation, StreamOperation):
                if shifts is None:
                    raise ValueError("the plan needs the stream's mean shifts")
                vector = float(group["value"].iloc[0]) * shifts[operation.vector][layer]
                changes.append(_prepare_block(layers, layer, vector, where))
            if isinstance(operation, WeightOperation):
                terms = to_tensors(group, layers.value_vectors(layer))
                changes.append(partial(_edit, layers, layer, operation, *terms, basis))
    of_weights = plan["operation"].isin(list_operations(TransplantOperation))
    return PreparedPlan(model, changes, plan[of_weights], donor, batch)


def to_tensors(rows: pd.DataFrame, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return a plan's neurons, (n,), and values, (n,) float64, on a tensor's device."""
    return (
        torch.tensor(rows["neuron"].to_numpy(), device=like.device),
        torch.tensor(rows["value"].to_numpy(), device=like.device),
    )


def stored_basis(basis: np.ndarray, gain: Tensor | None) -> np.ndarray:
    """An orthonormal basis, (k, d_model), of what value vectors must lack to write nothing along.

    A norm after the MLP turns a stored value vector v into gain ⊙ v, and (gain ⊙ v) · w is
    v · (gain ⊙ w): v must lack gain ⊙ w. basis: orthonormal rows in the residual stream.
    gain: (d_model,), of the norm; None without one.
    """
    return basis if gain is None else orthonormal_rows(basis * gain.cpu().numpy())


@torch.no_grad()
def edit_vectors(
    layers: Layers,
    layer: int,
    operation: WeightOperation,
    neurons: Tensor,
    values: Tensor,
    basis: np.ndarray | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Edit key or value vectors of one layer, in the model's own memory.

    neurons, values: of the plan, (n,) each. basis: orthonormal rows in the residual stream,
    (k, d_model), for operations that need them.
    Returns the layer's vectors, the edited neurons, and what their vectors were.
    """
    is_key = operation.vectors == "key"
    vectors = (layers.key_vectors if is_key else layers.value_vectors)(layer)
    span = None
    if basis is not None:
        stored = stored_basis(basis, layers.gain(layer))
        span = torch.tensor(stored, dtype=torch.float64).to(vectors.device)
    original = vectors[neurons]  # a copy
    vectors[neurons] = operation.edit(original, values, span)
    return vectors, neurons, original


def _edit(
    layers: Layers, layer: int, operation: WeightOperation, neurons: Tensor, values: Tensor,
    basis: np.ndarray | None,
) -> Undo:  # fmt: skip
    edited = edit_vectors(layers, layer, operation, neurons, values, basis)
    return partial(_restore_vectors, *edited)


@torch.no_grad()
def _restore_vectors(vectors: Tensor, neurons: Tensor | slice, original: Tensor) -> None:
    vectors[neurons] = original


def group_operations(rows: pd.DataFrame) -> dict[Operation, pd.DataFrame]:
    """Group a plan's rows by their operations."""
    return {OPERATIONS[str(name)]: group for name, group in rows.groupby("operation")}


def of_site(
    by_operation: Mapping[Operation, pd.DataFrame], site: Site
) -> dict[Operation, pd.DataFrame]:
    """Return the operations that change the activations of a site."""
    return {
        operation: rows
        for operation, rows in by_operation.items()
        if isinstance(operation, SiteOperation) and operation.site == site
    }


def gather_terms(by_operation: Mapping[Operation, pd.DataFrame], like: Tensor) -> ActivationTerms:
    """Gather the factors and offsets of one layer's activations of a site.

    like: a tensor with a row an activation, (width, …), of the terms' number format and device.
    """
    terms = ActivationTerms(
        replaced=like.new_zeros(len(like), dtype=torch.bool),
        factor=like.new_ones(len(like)),
        offset=like.new_zeros(len(like)),
    )
    for operation, rows in by_operation.items():
        if isinstance(operation, ActivationOperation):
            neurons, values = to_tensors(rows, like)
            operation.set_terms(terms, neurons, values.to(like))
    return terms


def check_direction(plan: pd.DataFrame, direction: np.ndarray | None) -> None:
    """Raise ValueError if a plan needs a direction and there is none."""
    if direction is None and any(map(needs_direction, set(plan["operation"]))):
        raise ValueError("the plan needs a direction")


class _BatchSize:
    """The number of prompts in the current forward pass."""

    rows = 0

    def see(self, model: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Any]) -> None:
        self.rows = len(inputs[0] if inputs else named["input_ids"])


def _make_activation_hook(
    by_operation: Mapping[Operation, pd.DataFrame],
    like: Tensor,
    where: slice,
    batch: _BatchSize,
    source: SourceActivations | None,
    layer: int,
    site: Site,
) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    """Make the hook that applies all operations on one layer's activations of a site."""
    terms = gather_terms(by_operation, like)
    only_replaces = bool((terms.replaced | ((terms.factor == 1) & (terms.offset == 0))).all())
    takes_source = any(isinstance(operation, SourceOperation) for operation in by_operation)
    from_source = source if takes_source else None

    def change(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        given, *rest = inputs
        activations = view_by_prompt(given, batch.rows)
        changed = activations[:, where]
        if not only_replaces:
            changed = torch.addcmul(terms.offset, changed, terms.factor)
        changed = torch.where(terms.replaced, terms.offset, changed)
        if from_source is not None:
            changed = from_source.assign(layer, site, changed, where)
        if changed.shape[1] < activations.shape[1]:
            everywhere = activations.clone()
            everywhere[:, where] = changed
            changed = everywhere
        return (changed.view(given.shape), *rest)

    return change


def _hook_reader(reader: nn.Module, hook: Callable[..., object]) -> Undo:
    return reader.register_forward_pre_hook(hook).remove


def _hook_output(module: nn.Module, hook: Callable[..., object]) -> Undo:
    return module.register_forward_hook(hook).remove


def _prepare_mlp_output(
    layers: Layers, layer: int, vector: np.ndarray, where: slice, batch: _BatchSize
) -> Change:
    """Prepare the hook that adds a vector, (d_model,), to what an MLP adds to the stream."""
    offset = torch.tensor(vector).to(layers.value_vectors(layer))

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        changed = view_by_prompt(output, batch.rows).clone()
        changed[:, where] += offset
        return changed.view(output.shape)

    # The last module before the stream: what is added arrives there as it is.
    last_modules = layers.norms_after_mlp or layers.down_projections
    return partial(_hook_output, last_modules[layer], add)


def _prepare_block(layers: Layers, layer: int, vector: np.ndarray, where: slice) -> Change:
    """Prepare the hook that adds a vector, (d_model,), to the residual stream after a block."""
    offset = torch.tensor(vector).to(layers.value_vectors(layer))

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: BlockOutput) -> BlockOutput:
        stream = (output if isinstance(output, Tensor) else output[0]).clone()
        stream[:, where] += offset
        return stream if isinstance(output, Tensor) else (stream, *output[1:])

    return partial(_hook_output, layers.blocks[layer], add)
