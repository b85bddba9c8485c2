"""Weights of the other checkpoint, put into a model in place of its own."""

from collections.abc import Iterator

import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel

from dpo_neurons.errors import InputError
from dpo_neurons.interventions.operations import OPERATIONS, TransplantOperation
from dpo_neurons.interventions.plans import WHOLE_LAYER
from dpo_neurons.models.architectures import Layers
from dpo_neurons.models.weight_parts import Place, neuron_axis, place_of
from dpo_neurons.statistics.singular_values import leading_components

Replaced = tuple[Tensor, Tensor | slice, Tensor]
"""A view of a model's tensor, which of its rows were replaced, and what these were."""


class WeightDonor:
    """The checkpoint whose weights plans put into the other one of the pair.

    It is a loaded model, so its tensors have the names and the number format of the other's. Each
    matrix is decomposed once, however often a plan that limits the rank is applied.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.tensors = _tensors_of(model)
        self._factors: dict[tuple[str, int], tuple[Tensor, Tensor]] = {}

    def limited_change(self, name: str, own: Tensor, given: Tensor, rank: int) -> Tensor:
        """Return the change from `own` to `given`, limited to a rank: (m, n) float64.

        own: the tensor of this name in the model that is changed, as it is without plans.
        """
        if (name, rank) not in self._factors:
            self._factors[name, rank] = leading_components(given.double() - own.double(), rank)
        left, right = self._factors[name, rank]
        return left @ right


@torch.no_grad()
def put_in_weights(
    model: PreTrainedModel, donor: WeightDonor | None, plan: pd.DataFrame
) -> Iterator[Replaced]:
    """Put the donor's weights into a model as a plan says, a tensor with each step.

    The plan's other operations are left alone. One checkpoint may have more token or position
    vectors than the other; only those that both have are replaced.
    Raises InputError for parts whose tensors differ between the checkpoints in name or shape, and
    for an embedding that is the unembedding too in the model and not in the donor.
    """
    groups = _group_by_place(plan)
    if not groups:
        return
    if donor is None:
        raise ValueError("the plan needs the other checkpoint's weights")
    layers, tensors = Layers.of(model), _tensors_of(model)
    places = {name: place_of(layers.architecture, name) for name in tensors | donor.tensors}
    for name in sorted(tensors.keys() ^ donor.tensors.keys()):
        if places[name] in groups:
            raise InputError(
                f"interventions: a transplant takes {name}, which only one of the two checkpoints "
                f"has; leave {places[name].part} out of the row's parts"
            )
    seen: dict[int, str] = {}
    for name, own in tensors.items():
        given, place = donor.tensors.get(name), places[name]
        if place not in groups or given is None:
            continue
        if (first := seen.setdefault(id(own), name)) != name:
            if not torch.equal(donor.tensors[first], given):
                raise InputError(
                    f"interventions: a transplant puts {first} and {name} into a checkpoint in "
                    "which they are one matrix, and the other has two; leave embedding out of the "
                    "row's parts"
                )
            continue
        own, given = _rows_of_both(name, own, given.to(own.device))
        for rows in groups[place]:
            if (rows["neuron"] == WHOLE_LAYER).all():
                yield _replace_all(name, own, given, rows, donor)
            else:
                yield from _replace_neurons(layers, place, own, given, rows)


def _tensors_of(model: PreTrainedModel) -> dict[str, Tensor]:
    """Return a model's tensors by name; one with two names, as if tied, stands under both."""
    return dict(model.named_parameters(remove_duplicate=False))


def _group_by_place(plan: pd.DataFrame) -> dict[Place, list[pd.DataFrame]]:
    """Group a plan's transplants by what they act on, whole layers apart from neurons."""
    groups: dict[Place, list[pd.DataFrame]] = {}
    by = [plan["layer"], plan["operation"], plan["neuron"] == WHOLE_LAYER]
    for (layer, name, _), rows in plan.groupby(by):
        operation = OPERATIONS[name]
        if isinstance(operation, TransplantOperation):
            groups.setdefault(Place(int(layer), operation.part), []).append(rows)
    return groups


def _rows_of_both(name: str, own: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first rows of two tensors, as many as both have."""
    if own.shape[1:] != given.shape[1:]:
        raise InputError(
            f"interventions: a transplant takes {name}, which is {tuple(own.shape)} in one "
            f"checkpoint and {tuple(given.shape)} in the other; leave this part out of the row"
        )
    common = min(len(own), len(given))
    return own[:common], given[:common]


def _replace_all(
    name: str, own: Tensor, given: Tensor, rows: pd.DataFrame, donor: WeightDonor
) -> Replaced:
    """Replace a tensor by the donor's, or by what is nearest to it with a change of low rank."""
    operation, value = OPERATIONS[rows["operation"].iloc[0]], float(rows["value"].iloc[0])
    original = own.clone()
    if not getattr(operation, "limits_rank", False):
        own.copy_(torch.lerp(original, given, value))
    elif own.ndim < 2:
        own.copy_(given)
    else:
        own.copy_(original.double() + donor.limited_change(name, original, given, int(value)))
    return own, slice(None), original


def _replace_neurons(
    layers: Layers, place: Place, own: Tensor, given: Tensor, rows: pd.DataFrame
) -> Iterator[Replaced]:
    """Replace what a tensor holds of some neurons: a row or column, two with gate and up in one."""
    axis = neuron_axis(layers.architecture, place.part, own.ndim)
    if axis is None:
        return
    own, given = own.movedim(axis, 0), given.movedim(axis, 0)
    neurons = torch.tensor(rows["neuron"].to_numpy(), device=own.device)
    shares = torch.tensor(rows["value"].to_numpy()).to(own).view(-1, *(1 for _ in own.shape[1:]))
    for first in range(0, len(own), layers.d_mlp):
        places = first + neurons
        original = own[places]  # a copy
        own[places] = torch.lerp(original, given[places], shares)
        yield own, places, original
