"""Plans written into a model's weights for good, where weights can do what the plan does."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel

from dpo_neurons.directions.direction_files import orthonormal_rows
from dpo_neurons.errors import InputError
from dpo_neurons.interventions.hooks import stored_basis
from dpo_neurons.interventions.operations import (
    OPERATIONS,
    ActivationOperation,
    ActivationTerms,
    Operation,
    OutputOperation,
    SourceOperation,
    WeightOperation,
    list_operations,
)
from dpo_neurons.interventions.plans import check_plan
from dpo_neurons.models.architectures import Layers


@torch.no_grad()
def fold_plan(model: PreTrainedModel, plan: pd.DataFrame, direction: np.ndarray | None) -> None:
    """Change a model's weights so that it does at every position what a plan does.

    The MLP's output is Σ mᵢ vᵢ + b. A neuron that is set or moved to m · factor + offset becomes
    one with the value vector factor · v, and b gains offset · v. Keys and value vectors that a plan
    edits are edited. direction: unit rows, (k, d_model), for plans that need it.
    Raises InputError for a plan that weights cannot hold: one that goes by another model's
    activations, or adds a constant where the MLP has no bias.
    """
    layers = Layers.of(model)
    check_plan(plan, n_layers=len(layers.blocks), d_mlp=layers.d_mlp)
    if set(plan["operation"]) & set(list_operations(SourceOperation)):
        raise InputError(
            "the row assigns what another model does on the same prompt, which no weights hold; "
            "export a row that ablates, scales, damps, strips or edits by a factor"
        )
    for number, rows in plan.groupby("layer"):
        layer = int(str(number))
        by_operation = {OPERATIONS[str(name)]: group for name, group in rows.groupby("operation")}
        for operation, group in by_operation.items():
            if isinstance(operation, WeightOperation):
                _edit_vectors(layers, layer, operation, group, direction)
        _fold_activations(layers, layer, by_operation)
        for operation, group in by_operation.items():
            if isinstance(operation, OutputOperation) and direction is not None:
                if layers.norms_after_mlp is not None:
                    raise InputError(
                        "steering acts behind the norm after this architecture's MLPs, which no "
                        "weight of theirs reaches; export another row"
                    )
                scale = float(group["value"].iloc[0])
                _add_to_output(layers, layer, torch.tensor(-scale * direction[0]))


def _edit_vectors(
    layers: Layers,
    layer: int,
    operation: WeightOperation,
    rows: pd.DataFrame,
    direction: np.ndarray | None,
) -> None:
    is_key = operation.vectors == "key"
    vectors = (layers.key_vectors if is_key else layers.value_vectors)(layer)
    basis = None
    if direction is not None:
        stored = stored_basis(orthonormal_rows(direction), layers.gain(layer))
        basis = torch.tensor(stored, dtype=torch.float64)
    neurons = torch.tensor(rows["neuron"].to_numpy())
    values = torch.tensor(rows["value"].to_numpy())
    vectors[neurons] = operation.edit(vectors[neurons], values, basis)


def _fold_activations(
    layers: Layers, layer: int, by_operation: Mapping[Operation, pd.DataFrame]
) -> None:
    """Fold factors into value vectors, and offsets into the bias, in float64."""
    d_mlp = layers.d_mlp
    terms = ActivationTerms(
        replaced=torch.zeros(d_mlp, dtype=torch.bool),
        factor=torch.ones(d_mlp, dtype=torch.float64),
        offset=torch.zeros(d_mlp, dtype=torch.float64),
    )
    for operation, rows in by_operation.items():
        if isinstance(operation, ActivationOperation):
            neurons = torch.tensor(rows["neuron"].to_numpy())
            operation.set_terms(terms, neurons, torch.tensor(rows["value"].to_numpy()))
    vectors = layers.value_vectors(layer)
    wide = vectors.double()
    if terms.offset.any():
        _add_to_output(layers, layer, terms.offset @ wide)
    factor = torch.where(terms.replaced, 0.0, terms.factor)
    changed = factor != 1
    vectors[changed] = (factor[:, None] * wide)[changed].to(vectors)


def _add_to_output(layers: Layers, layer: int, constant: Tensor) -> None:
    """Add a constant, (d_model,), to a layer's MLP output: to the bias of its down projection."""
    bias = layers.down_projections[layer].bias
    if not isinstance(bias, Tensor):
        raise InputError(
            "the row adds a constant to MLP outputs, and this architecture's MLPs have no bias to "
            "hold it; export a row that ablates, scales, damps or strips"
        )
    bias += constant.to(bias)
