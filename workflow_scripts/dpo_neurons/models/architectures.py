"""The table of model architectures: where a model keeps its blocks, attention, MLPs and neurons.

Adding an architecture is adding a row to ARCHITECTURES. Neuron i of a layer has a key vector (what
it looks for, a row or column of the key projection) and a value vector (what it writes, a row or
column of the down projection); its activation is the input of the down projection.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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
    key_projection: str
    """From the MLP to the projection that holds the key vectors: the gate of a gated MLP, which
    comes first where gate and up projection are one matrix."""
    down_projection: str
    """From the MLP to the projection that holds the value vectors."""
    final_norm: str
    """From the causal language model to the norm before the unembedding."""
    embedding: str
    """From the causal language model to its token embedding, (vocabulary, d_model)."""
    unembedding: str = "lm_head"
    """Likewise to its unembedding, as stored; where it is not stored, it is the embedding."""
    neurons_in_rows: bool = False
    """Down projection weight is (d_mlp, d_model) as in GPT-2's Conv1D, else (d_model, d_mlp)."""
    norm_after_mlp: str | None = None
    """From a block to the norm between MLP output and residual stream, where there is one."""
    attention: str = "self_attn"
    """From a block to its attention."""
    output_projection: str = "o_proj"
    """From the attention to the projection that heads write through. Its weight is stored as the
    down projection's is."""
    norm_after_attention: str | None = None
    """From a block to the norm between attention and residual stream, where there is one."""
    norm_offset: float = 0.0
    """What norms add to their stored weight before they multiply with it."""
    norms_centre: bool = False
    """Whether norms subtract the mean first: LayerNorm does, RMSNorm does not."""

    def down_projection_of(self, layer: int) -> str:
        """Path from the causal language model to a layer's down projection."""
        parts = (self.blocks, str(layer), self.mlp, self.down_projection)
        return ".".join(part for part in parts if part)

    def output_projection_of(self, layer: int) -> str:
        """Path from the causal language model to a layer's output projection of attention."""
        return f"{self.blocks}.{layer}.{self.attention}.{self.output_projection}"

    def norm_after_attention_of(self, layer: int) -> str | None:
        """Path from the causal language model to a layer's norm after attention, if it has one."""
        return self.norm_after_attention and f"{self.blocks}.{layer}.{self.norm_after_attention}"

    def norm_after_mlp_of(self, layer: int) -> str | None:
        """Path from the causal language model to a layer's norm after the MLP, if it has one."""
        return self.norm_after_mlp and f"{self.blocks}.{layer}.{self.norm_after_mlp}"


_GATED = Architecture(
    blocks="model.layers",
    mlp="mlp",
    key_projection="gate_proj",
    down_projection="down_proj",
    final_norm="model.norm",
    embedding="model.embed_tokens",
)
_GATED_WITH_NORMS = replace(
    _GATED,
    norm_after_attention="post_attention_layernorm",
    norm_after_mlp="post_feedforward_layernorm",
)

ARCHITECTURES = {
    "gpt2": Architecture(
        blocks="transformer.h",
        mlp="mlp",
        key_projection="c_fc",
        down_projection="c_proj",
        neurons_in_rows=True,
        attention="attn",
        output_projection="c_proj",
        final_norm="transformer.ln_f",
        embedding="transformer.wte",
        norms_centre=True,
    ),
    "llama": _GATED,
    "mistral": _GATED,
    "gemma2": replace(_GATED_WITH_NORMS, norm_offset=1.0),
    "gemma": replace(_GATED, norm_offset=1.0),
    "gemma3_text": replace(_GATED_WITH_NORMS, norm_offset=1.0),
    "qwen2": _GATED,
    "qwen3": _GATED,
    "olmo2": _GATED_WITH_NORMS,
    "phi3": replace(_GATED, key_projection="gate_up_proj"),
    "phi": Architecture(
        blocks="model.layers",
        mlp="mlp",
        key_projection="fc1",
        down_projection="fc2",
        output_projection="dense",
        final_norm="model.final_layernorm",
        embedding="model.embed_tokens",
        norms_centre=True,
    ),
    "gpt_neox": Architecture(
        blocks="gpt_neox.layers",
        mlp="mlp",
        key_projection="dense_h_to_4h",
        down_projection="dense_4h_to_h",
        attention="attention",
        output_projection="dense",
        final_norm="gpt_neox.final_layer_norm",
        embedding="gpt_neox.embed_in",
        unembedding="embed_out",
        norms_centre=True,
    ),
    "opt": Architecture(
        blocks="model.decoder.layers",
        mlp="",
        key_projection="fc1",
        down_projection="fc2",
        output_projection="out_proj",
        final_norm="model.decoder.final_layer_norm",
        embedding="model.decoder.embed_tokens",
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


Site = Literal["mlp_post", "attn_z"]
"""Where plans change activations: those of neurons, or what heads give to the output projection."""


@dataclass(frozen=True)
class Layers:
    """The parts of a loaded model that write into the residual stream, a list entry a layer."""

    architecture: Architecture
    blocks: list[nn.Module]
    key_projections: list[nn.Module]
    down_projections: list[nn.Module]
    output_projections: list[nn.Module]
    """What the heads of attention write through."""
    norms_after_attention: list[nn.Module] | None
    """The norms between attention and residual stream, in architectures that have them."""
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
            output_projections=[
                block.get_submodule(f"{architecture.attention}.{architecture.output_projection}")
                for block in blocks
            ],
            norms_after_attention=_find_norms(blocks, architecture.norm_after_attention),
            norms_after_mlp=_find_norms(blocks, architecture.norm_after_mlp),
        )

    @property
    def d_mlp(self) -> int:
        """Neurons a layer."""
        return self.value_vectors(0).shape[0]

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.value_vectors(0).shape[1]

    @property
    def d_attn(self) -> int:
        """Width of what the heads of a layer give to the output projection, all heads together."""
        return self.read_vectors("attn_z", 0).shape[0]

    def readers(self, site: Site) -> list[nn.Module]:
        """Return the projections that read the activations of a site, a list entry a layer."""
        return self.down_projections if site == "mlp_post" else self.output_projections

    def read_vectors(self, site: Site, layer: int) -> Tensor:
        """View of what each activation of a site is multiplied with, (width, d_model).

        It is in the model's own memory and as stored: a norm behind it is not applied.
        """
        weight = self.readers(site)[layer].get_parameter("weight")
        return weight if self.architecture.neurons_in_rows else weight.T

    def value_vectors(self, layer: int) -> Tensor:
        """View of a layer's value vectors, (d_mlp, d_model): see `read_vectors`."""
        return self.read_vectors("mlp_post", layer)

    def key_vectors(self, layer: int) -> Tensor:
        """View of a layer's key vectors, (d_mlp, d_model), in the model's own memory."""
        weight = self.key_projections[layer].get_parameter("weight")
        return (weight.T if self.architecture.neurons_in_rows else weight)[: self.d_mlp]

    def gain(self, layer: int) -> Tensor | None:
        """Gain of a layer's norm after the MLP, (d_model,) float64; None without such a norm."""
        return None if self.norms_after_mlp is None else self.gain_of(self.norms_after_mlp[layer])

    def gain_of(self, norm: nn.Module) -> Tensor:
        """Return what a norm multiplies each coordinate with, (d_model,) float64."""
        return norm.get_parameter("weight").detach().double() + self.architecture.norm_offset


def _find_norms(blocks: list[nn.Module], norm: str | None) -> list[nn.Module] | None:
    return [block.get_submodule(norm) for block in blocks] if norm else None


def view_by_prompt(states: Tensor, rows: int) -> Tensor:
    """View of what an MLP reads or writes as (batch, positions, width), for a batch of `rows`.

    OPT's MLP is given all positions of all prompts in one row after another.
    """
    return states.view(rows, -1, states.shape[-1])
