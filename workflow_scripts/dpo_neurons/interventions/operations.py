"""The registry of operations: what each changes, how, and predicted effects.

A plan names operations by the keys of OPERATIONS. To add an operation, add an entry: the engine
(hooks), the check of plans and the prediction of effects read only this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from dpo_neurons.models.architectures import Site
from dpo_neurons.models.weight_parts import Part

if TYPE_CHECKING:  # keeps programs that only read or write plans from loading torch
    from torch import Tensor

Places = Literal["neurons", "heads", "layers", "rest"]
"""What rows of a plan name: neurons of a layer, coordinates of its heads' `attn_z`, the layer as a
whole, or what is in no layer."""
Predict = Callable[["Means", np.ndarray, np.ndarray], None]
"""Applies an operation's values, (n,), to the means of the neurons of these indices, (n,)."""


@dataclass
class Means:
    """The inputs of a prediction, from the first model's neurons: (n_neurons,) each."""

    activation: np.ndarray
    """Mean activations m."""
    component: np.ndarray
    """Components of the written vectors along the unit direction, v · w/|w|."""
    source: np.ndarray
    """Mean activations of the model whose activations prompt-specific operations assign."""
    subtracted: float = 0.0
    """Sum of the amounts subtracted from MLP outputs, in units of the direction."""


@dataclass(frozen=True)
class Operation:
    """An operation, with the prediction of its direct effect if one is possible."""

    predict: Predict | None
    """None if mean activations do not determine the effect."""

    @property
    def places(self) -> tuple[Places, ...]:
        """Return what a row of a plan may name for this operation."""
        return ("neurons",)

    @property
    def target(self) -> str:
        """Return the name of what is changed; a plan may change the same thing only once."""
        raise NotImplementedError


class SiteOperation(Operation):
    """Changes the activations of a site: of neurons, or what heads give to their projection."""

    site: Site

    @property
    def places(self) -> tuple[Places, ...]:
        """Return what a row of a plan may name: neurons, or coordinates of heads."""
        return ("neurons",) if self.site == "mlp_post" else ("heads",)

    @property
    def target(self) -> str:
        """Return the site."""
        return self.site


@dataclass(frozen=True)
class ActivationOperation(SiteOperation):
    """Changes activations m to m · factor + offset, or to offset."""

    set_terms: Callable[[ActivationTerms, Tensor, Tensor], None]
    """Sets factor and offset of the neurons of these indices, (n,), from values, (n,)."""
    site: Site = "mlp_post"


@dataclass(frozen=True)
class SourceOperation(SiteOperation):
    """Moves neurons m towards a source model's activations s: m + λ (s − m), λ the plan's value."""

    values: Literal["prompt", "token", "same_text"]
    """Mean over the tokens that the source model generates, its activation at the token of the same
    number, or its activation where it reads the text that the changed model has written."""
    site: Site = "mlp_post"


@dataclass(frozen=True)
class WeightOperation(Operation):
    """Edits key or value vectors, at all positions, and restores them bit by bit."""

    vectors: Literal["key", "value"]
    edit: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    """New vectors, (n, d_model), from the old, values (n,) and orthonormal rows (k, d_model)."""
    needs_direction: bool = False

    @property
    def target(self) -> str:
        """Return "key vector" or "value vector"."""
        return f"{self.vectors} vector"


@dataclass(frozen=True)
class OutputOperation(Operation):
    """Subtracts a multiple of the unit direction from what a layer's MLP adds to the stream."""

    needs_direction: bool = True

    @property
    def places(self) -> tuple[Places, ...]:
        """Return what a row of a plan may name: a layer."""
        return ("layers",)

    @property
    def target(self) -> str:
        """Return "MLP output"."""
        return "MLP output"


@dataclass(frozen=True)
class StreamOperation(Operation):
    """Adds a multiple of a vector of the layer to the residual stream after its block."""

    vector: Literal["shift", "random"]
    """The stream's mean shift, or a random vector of its length; see neurons.stream_shifts."""

    @property
    def places(self) -> tuple[Places, ...]:
        """Return what a row of a plan may name: a layer."""
        return ("layers",)

    @property
    def target(self) -> str:
        """Return "residual stream"."""
        return "residual stream"


@dataclass(frozen=True)
class TransplantOperation(Operation):
    """Puts weights W' of the other checkpoint in place of W, and restores W bit by bit.

    The plan's value is λ in W + λ (W' − W), or r where the rank is limited: each matrix then gets
    the first r singular components of W' − W, and each vector all of its change.
    """

    part: Part
    limits_rank: bool = False

    @property
    def places(self) -> tuple[Places, ...]:
        """Return what a row of a plan may name, by the part."""
        if self.part == "embedding":
            return ("rest",)
        if self.part == "norms":
            return ("layers", "rest")
        is_of_neurons = self.part in ("keys", "values") and not self.limits_rank
        return ("neurons", "layers") if is_of_neurons else ("layers",)

    @property
    def target(self) -> str:
        """Return the part; key and value vectors are named as those of a weight operation."""
        vectors = {"keys": "key vector", "values": "value vector"}
        return vectors.get(self.part, self.part)


@dataclass(frozen=True)
class ActivationTerms:
    """The changes of one layer's activations m, neuron by neuron: m · factor + offset.

    All are (d_mlp,). Where `replaced` is True, the offset replaces m, even if m is infinite.
    """

    replaced: Tensor
    factor: Tensor
    offset: Tensor


def _set(terms: ActivationTerms, neurons: Tensor, values: Tensor) -> None:
    terms.offset[neurons] = values
    terms.replaced[neurons] = True


def _scale(terms: ActivationTerms, neurons: Tensor, values: Tensor) -> None:
    terms.factor[neurons] = values


def _add(terms: ActivationTerms, neurons: Tensor, values: Tensor) -> None:
    terms.offset[neurons] = values


def _predict_set(means: Means, neurons: np.ndarray, values: np.ndarray) -> None:
    means.activation[neurons] = values


def _predict_scale(means: Means, neurons: np.ndarray, values: np.ndarray) -> None:
    means.activation[neurons] *= values


def _predict_add(means: Means, neurons: np.ndarray, values: np.ndarray) -> None:
    means.activation[neurons] += values


def _predict_source(means: Means, neurons: np.ndarray, values: np.ndarray) -> None:
    means.activation[neurons] += values * (means.source[neurons] - means.activation[neurons])


def _predict_removed(means: Means, neurons: np.ndarray, values: np.ndarray) -> None:
    means.component[neurons] *= 1 - values


def _predict_subtracted(means: Means, neurons: np.ndarray, values: np.ndarray) -> None:
    means.subtracted += float(values.sum())


def _scale_vectors(vectors: Tensor, values: Tensor, basis: Tensor | None) -> Tensor:
    return vectors * values.to(vectors)[:, None]


def _remove_directions(vectors: Tensor, values: Tensor, basis: Tensor | None) -> Tensor:
    """Remove a share, `values`, of the vectors' parts along the basis, in float64."""
    assert basis is not None
    wide = vectors.double()
    return (wide - values[:, None] * (wide @ basis.T) @ basis).to(vectors)


OPERATIONS: dict[str, Operation] = {
    "set": ActivationOperation(_predict_set, _set),
    "scale": ActivationOperation(_predict_scale, _scale),
    "add": ActivationOperation(_predict_add, _add),
    "set_prompt_mean": SourceOperation(_predict_source, "prompt"),
    "set_token": SourceOperation(_predict_source, "token"),
    "set_same_text": SourceOperation(_predict_source, "same_text"),
    # No prediction: the table of contributions has no heads.
    "set_head": ActivationOperation(None, _set, "attn_z"),
    "scale_head": ActivationOperation(None, _scale, "attn_z"),
    "add_head": ActivationOperation(None, _add, "attn_z"),
    "set_head_same_text": SourceOperation(None, "same_text", "attn_z"),
    # No prediction: a key acts through the activation function, on inputs that are not stored.
    "scale_key": WeightOperation(None, "key", _scale_vectors),
    "remove_direction": WeightOperation(
        _predict_removed, "value", _remove_directions, needs_direction=True
    ),
    "subtract_direction": OutputOperation(_predict_subtracted),
    # No prediction: it changes the stream, and no neuron of the layer.
    "add_shift": StreamOperation(None, "shift"),
    "add_random": StreamOperation(None, "random"),
    # No prediction: weights act through all that reads them.
    **{f"transplant_{part}": TransplantOperation(None, part) for part in get_args(Part)},
    **{
        f"transplant_rank_of_{part}": TransplantOperation(None, part, limits_rank=True)
        for part in get_args(Part)
    },
}
"""All operations, by their names in plans."""


def list_operations(kind: type[Operation]) -> list[str]:
    """List the names of the operations of one class."""
    return [name for name, operation in OPERATIONS.items() if isinstance(operation, kind)]


def needs_direction(name: str) -> bool:
    """Return whether an operation needs the direction, which plans do not hold."""
    return getattr(OPERATIONS[name], "needs_direction", False)
