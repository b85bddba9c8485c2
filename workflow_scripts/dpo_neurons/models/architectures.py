"""The table of model architectures: where a model keeps its blocks, its MLPs and its neurons.

Adding an architecture is adding a row to ARCHITECTURES. Neuron i of a layer has a key vector (what
it looks for, a row or column of the key projection) and a value vector (what it writes, a row or
column of the down projection); its activation is the input of the down projection.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_neurons.errors import InputError

if TYPE_CHECKING:  # keeps programs that only read weights from loading transformers
    from torch import Tensor, nn
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Architecture:
    """Where the parts of one architecture are, as module paths."""

    blocks: str
    """From the causal language model to its list of transformer blocks."""
    mlp: str
    """From a block to its MLP; empty where the block itself holds the projections."""
    attention: str
    """From a block to its attention."""
    output_projection: str
    """From the attention to the projection that writes into the residual stream."""
    key_projection: str
    """From the MLP to the projection that holds the key vectors: the gate of a gated MLP, which
    comes first where gate and up projection are one matrix."""
    down_projection: str
    """From the MLP to the projection that holds the value vectors."""
    neurons_in_rows: bool
    """Down projection weight is (d_mlp, d_model) as in GPT-2's Conv1D, else (d_model, d_mlp)."""
    norm_after_mlp: str | None
    """From a block to the norm between MLP output and residual stream, where there is one."""
    final_norm: str
    """From the causal language model to the norm before the unembedding."""
    embedding: str
    """From the causal language model to its token embedding, (vocabulary, d_model)."""
    unembedding: str = "lm_head"
    """Likewise to its unembedding, as stored; where it is not stored, it is the embedding."""
    norm_offset: float = 0.0
    """What norms add to their stored weight before they multiply with it."""
    norms_centre: bool = False
    """Whether norms subtract the mean first: LayerNorm does, RMSNorm does not."""

    def down_projection_of(self, layer: int) -> str:
        """Path from the causal language model to a layer's down projection."""
        parts = (self.blocks, str(layer), self.mlp, self.down_projection)
        return ".".join(part for part in parts if part)

    def norm_after_mlp_of(self, layer: int) -> str | None:
        """Path from the causal language model to a layer's norm after the MLP, if it has one."""
        return self.norm_after_mlp and f"{self.blocks}.{layer}.{self.norm_after_mlp}"


_GATED = Architecture(
    "model.layers",
    "mlp",
    "self_attn",
    "o_proj",
    "gate_proj",
    "down_proj",
    False,
    None,
    "model.norm",
    "model.embed_tokens",
)
_GATED_WITH_NORM = replace(_GATED, norm_after_mlp="post_feedforward_layernorm")

ARCHITECTURES = {
    "gpt2": Architecture(
        "transformer.h",
        "mlp",
        "attn",
        "c_proj",
        "c_fc",
        "c_proj",
        True,
        None,
        "transformer.ln_f",
        "transformer.wte",
        norms_centre=True,
    ),
    "llama": _GATED,
    "mistral": _GATED,
    "gemma2": replace(_GATED_WITH_NORM, norm_offset=1.0),
    "gemma": replace(_GATED, norm_offset=1.0),
    "gemma3_text": replace(_GATED_WITH_NORM, norm_offset=1.0),
    "qwen2": _GATED,
    "qwen3": _GATED,
    "olmo2": _GATED_WITH_NORM,
    "phi3": replace(_GATED, key_projection="gate_up_proj"),
    "phi": Architecture(
        "model.layers",
        "mlp",
        "self_attn",
        "dense",
        "fc1",
        "fc2",
        False,
        None,
        "model.final_layernorm",
        "model.embed_tokens",
        norms_centre=True,
    ),
    "gpt_neox": Architecture(
        "gpt_neox.layers",
        "mlp",
        "attention",
        "dense",
        "dense_h_to_4h",
        "dense_4h_to_h",
        False,
        None,
        "gpt_neox.final_layer_norm",
        "gpt_neox.embed_in",
        "embed_out",
        norms_centre=True,
    ),
    # OPT's MLP has no module of its own.
    "opt": Architecture(
        "model.decoder.layers",
        "",
        "self_attn",
        "out_proj",
        "fc1",
        "fc2",
        False,
        None,
        "model.decoder.final_layer_norm",
        "model.decoder.embed_tokens",
        norms_centre=True,
    ),
}


def architecture_of_type(model_type: str, where: Path | str) -> Architecture:
    """Look up the architecture of a Hugging Face `model_type`.

    where: the checkpoint, for the error.
    Raises InputError for a model type with no row in the table.
    """
    if model_type not in ARCHITECTURES:
        raise InputError(
            f"{where}: model_type {model_type!r} has no known architecture (known: "
            f"{', '.join(ARCHITECTURES)}); add a row to ARCHITECTURES in "
            "dpo_neurons/models/architectures.py"
        )
    return ARCHITECTURES[model_type]


@dataclass(frozen=True)
class Layers:
    """The parts of a loaded model that hold its neurons, a list entry a layer."""

    architecture: Architecture
    blocks: list[nn.Module]
    key_projections: list[nn.Module]
    down_projections: list[nn.Module]
    norms_after_mlp: list[nn.Module] | None
    """The norms between MLP output and residual stream, in architectures that have them."""

    @classmethod
    def of(cls, model: PreTrainedModel) -> Layers:
        """Find the layers of a loaded model by its architecture."""
        where = model.config.name_or_path or "the model"
        architecture = architecture_of_type(model.config.model_type, where)
        blocks = list(model.get_submodule(architecture.blocks).children())
        mlps = [block.get_submodule(architecture.mlp) for block in blocks]
        return cls(
            architecture=architecture,
            blocks=blocks,
            key_projections=[mlp.get_submodule(architecture.key_projection) for mlp in mlps],
            down_projections=[mlp.get_submodule(architecture.down_projection) for mlp in mlps],
            norms_after_mlp=(
                [block.get_submodule(architecture.norm_after_mlp) for block in blocks]
                if architecture.norm_after_mlp
                else None
            ),
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
        """View of a layer's value vectors, (d_mlp, d_model), in the model's own memory.

        They are as stored: a norm after the MLP is not applied.
        """
        weight = self.down_projections[layer].get_parameter("weight")
        return weight if self.architecture.neurons_in_rows else weight.T

    def key_vectors(self, layer: int) -> Tensor:
        """View of a layer's key vectors, (d_mlp, d_model), in the model's own memory."""
        weight = self.key_projections[layer].get_parameter("weight")
        return (weight.T if self.architecture.neurons_in_rows else weight)[: self.d_mlp]

    def gain(self, layer: int) -> Tensor | None:
        """Gain of a layer's norm after the MLP, (d_model,) float64; None without such a norm."""
        if self.norms_after_mlp is None:
            return None
        weight = self.norms_after_mlp[layer].get_parameter("weight").detach()
        return weight.double() + self.architecture.norm_offset


def view_by_prompt(states: Tensor, rows: int) -> Tensor:
    """View of what an MLP reads or writes as (batch, positions, width), for a batch of `rows`.

    OPT's MLP is given all positions of all prompts in one row after another.
    """
    return states.view(rows, -1, states.shape[-1])
