"""Plans written into a model's weights for good, where weights can do what the plan does."""

from collections.abc import Mapping
from typing import get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from dpo_neurons.directions.direction_files import orthonormal_rows
from dpo_neurons.errors import InputError
from dpo_neurons.interventions.hooks import (
    check_direction,
    edit_vectors,
    gather_terms,
    group_operations,
    of_site,
    to_tensors,
)
from dpo_neurons.interventions.operations import (
    Operation,
    OutputOperation,
    SourceOperation,
    StreamOperation,
    WeightOperation,
    list_operations,
)
from dpo_neurons.interventions.plans import check_plan
from dpo_neurons.interventions.transplants import WeightDonor, put_in_weights
from dpo_neurons.models.architectures import Layers, Site
from dpo_neurons.models.weight_parts import OUTSIDE_LAYERS


@torch.no_grad()
def fold_plan(
    model: PreTrainedModel,
    plan: pd.DataFrame,
    direction: np.ndarray | None,
    donor: WeightDonor | None = None,
) -> None:
    """Change a model's weights so that it does at every position what a plan does.

    The MLP's output is Σ mᵢ vᵢ + b. A neuron that is set or moved to m · factor + offset becomes
    one with the value vector factor · v, and b gains offset · v. Attention's output is such a sum
    over coordinates of heads. Key and value vectors that a plan edits are edited, and weights of
    the other checkpoint put in.
    direction: unit rows, (k, d_model), for plans that need it. donor: likewise the other
    checkpoint.
    Raises InputError for a plan that weights cannot hold: one that goes by another model's
    activations, or adds a constant where there is no bias. The model is then changed in part.
    """
    layers = Layers.of(model)
    check_plan(plan, len(layers.blocks), layers.d_mlp, layers.d_attn)
    if set(plan["operation"]) & set(list_operations(SourceOperation)):
        raise InputError(
            "the row assigns what another model does on the same prompt, which no weights hold; "
            "export a row that ablates, scales, damps, strips, transplants or edits by a factor"
        )
    if set(plan["operation"]) & set(list_operations(StreamOperation)):
        raise InputError(
            "the row adds a vector to the residual stream, which no weight does; export another row"
        )
    check_direction(plan, direction)
    basis = None if direction is None else orthonormal_rows(direction)
    for _ in put_in_weights(model, donor, plan):
        pass  # for good: what was there is not restored
    for number, rows in plan[plan["layer"] != OUTSIDE_LAYERS].groupby("layer"):
        layer, by_operation = int(str(number)), group_operations(rows)
        for operation, group in by_operation.items():
            if isinstance(operation, WeightOperation):
                terms = to_tensors(group, layers.value_vectors(layer))
                edit_vectors(layers, layer, operation, *terms, basis)
        for site in get_args(Site):
            _fold_activations(layers, layer, site, of_site(by_operation, site))
        for operation, group in by_operation.items():
            if isinstance(operation, OutputOperation) and direction is not None:
                _fold_steering(layers, layer, float(group["value"].iloc[0]) * direction[0])


def _fold_activations(
    layers: Layers, layer: int, site: Site, by_operation: Mapping[Operation, pd.DataFrame]
) -> None:
    """Fold factors into what reads a site's activations, and offsets into its bias, in float64."""
    vectors = layers.read_vectors(site, layer)
    wide = vectors.double()
    terms = gather_terms(by_operation, wide)
    if terms.offset.any():
        _add_to_output(layers.readers(site)[layer], terms.offset @ wide)
    factor = torch.where(terms.replaced, 0.0, terms.factor)
    changed = factor != 1
    vectors[changed] = (factor[:, None] * wide)[changed].to(vectors)


def _fold_steering(layers: Layers, layer: int, subtracted: np.ndarray) -> None:
    if layers.norms_after_mlp is not None:
        raise InputError(
            "steering acts behind the norm after this architecture's MLPs, which no weight of "
            "theirs reaches; export another row"
        )
    _add_to_output(layers.down_projections[layer], torch.tensor(-subtracted))


def _add_to_output(projection: nn.Module, constant: Tensor) -> None:
    """Add a constant, (d_model,), to the output of a projection: to its bias."""
    bias = projection.bias
    if not isinstance(bias, Tensor):
        raise InputError(
            "the row adds a constant to what MLPs or attention put out, and this architecture has "
            "no bias there to hold it; export a row that ablates, scales, damps or strips"
        )
    bias += constant.to(bias)
