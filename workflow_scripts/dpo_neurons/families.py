"""The table of model families: where a model keeps its blocks, its MLPs and its neurons.

Adding a family is adding a row to FAMILIES. Neuron i of a layer has a key vector (what it looks
for, a row or column of the key projection) and a value vector (what it writes, a row or column of
the down projection); its activation is the input of the down projection.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_neurons.errors import InputError

if TYPE_CHECKING:  # keeps programs that only read weights from loading transformers
    from torch import Tensor, nn
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Family:
    """Where the parts of one architecture are, as module paths."""

    blocks: str
    """From the causal language model to its list of transformer blocks."""
    mlp: str
    """From a block to its MLP."""
    key_projection: str
    """From the MLP to the projection that holds the key vectors; the gate of a gated MLP."""
    down_projection: str
    """From the MLP to the projection that holds the value vectors."""
    neurons_in_rows: bool
    """Down projection weight is (d_mlp, d_model) as in GPT-2's Conv1D, else (d_model, d_mlp)."""
    norm_after_mlp: str | None
    """From a block to the norm between MLP output and residual stream, where there is one."""


FAMILIES = {
    "gpt2": Family("transformer.h", "mlp", "c_fc", "c_proj", True, None),
    "llama": Family("model.layers", "mlp", "gate_proj", "down_proj", False, None),
    "mistral": Family("model.layers", "mlp", "gate_proj", "down_proj", False, None),
    "gemma2": Family(
        "model.layers", "mlp", "gate_proj", "down_proj", False, "post_feedforward_layernorm"
    ),
}


def family_of(model_type: str, where: Path | str) -> Family:
    """Look up the family of a Hugging Face `model_type`; `where` is the checkpoint, for the error.

    Raises InputError for a model type with no row in the table.
    """
    if model_type not in FAMILIES:
        raise InputError(
            f"{where}: model_type {model_type!r} has no known family (known: "
            f"{', '.join(FAMILIES)}); add a row to FAMILIES in dpo_neurons/families.py"
        )
    return FAMILIES[model_type]


@dataclass(frozen=True)
class Layers:
    """The parts of a loaded model that hold its neurons, a list entry a layer."""

    family: Family
    blocks: list[nn.Module]
    key_projections: list[nn.Module]
    down_projections: list[nn.Module]

    @classmethod
    def of(cls, model: PreTrainedModel) -> Layers:
        """Find the layers of a loaded model by its family."""
        family = family_of(model.config.model_type, model.config.name_or_path)
        blocks = list(model.get_submodule(family.blocks))
        mlps = [block.get_submodule(family.mlp) for block in blocks]
        return cls(
            family=family,
            blocks=blocks,
            key_projections=[mlp.get_submodule(family.key_projection) for mlp in mlps],
            down_projections=[mlp.get_submodule(family.down_projection) for mlp in mlps],
        )

    @property
    def d_mlp(self) -> int:
        """Neurons a layer."""
        return self.value_vectors(0).shape[0]

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.value_vectors(0).shape[1]

    def value_vectors(self, layer: int) -> Tensor:
        """View of a layer's value vectors, (d_mlp, d_model), in the model's own memory."""
        weight = self.down_projections[layer].weight
        return weight if self.family.neurons_in_rows else weight.T

    def key_vectors(self, layer: int) -> Tensor:
        """View of a layer's key vectors, (d_mlp, d_model), in the model's own memory."""
        weight = self.key_projections[layer].weight
        return weight.T if self.family.neurons_in_rows else weight
