"""The parts of a model that its weights belong to, by the module paths of its architecture.

Every tensor belongs to exactly one part:

- `keys`: of an MLP, all that makes the activations: key projection, up projection, their biases;
- `values`: of an MLP, the down projection, which holds the value vectors, and its bias;
- `attention`: all of a block's attention, norms inside it included;
- `norms`: the other norms of a block, and the final norm;
- `embedding`: all else: token and position embeddings, the unembedding, projections beside them.
"""

from typing import Literal, NamedTuple

from dpo_neurons.models.architectures import Architecture

Part = Literal["keys", "values", "attention", "norms", "embedding"]
OUTSIDE_LAYERS = -1
"""The layer of a tensor that belongs to no transformer block."""


BARE_UNEMBEDDING = "lm_head"
"""How transformers calls the unembedding of every architecture, whatever a file calls it."""


class Place(NamedTuple):
    """Where a tensor belongs."""

    layer: int
    """From 0, or OUTSIDE_LAYERS."""
    part: Part


def place_of(architecture: Architecture, name: str) -> Place:
    """Find the layer and the part of a tensor.

    name: in the causal language model, such as "model.layers.0.mlp.up_proj.weight".
    """
    layer, rest = split_name(architecture, name)
    if layer != OUTSIDE_LAYERS:
        return Place(layer, _part_in_block(architecture, rest))
    is_norm = _is_in(name, architecture.final_norm)
    return Place(layer, "norms" if is_norm else "embedding")


def split_name(architecture: Architecture, name: str) -> tuple[int, str]:
    """Split a tensor's name in the causal language model into its layer and its name there."""
    if _is_in(name, architecture.blocks):
        number, _, rest = name[len(architecture.blocks) + 1 :].partition(".")
        return int(number), rest
    return OUTSIDE_LAYERS, name


def name_in_model(architecture: Architecture, stored_name: str) -> str:
    """Return the name in the causal language model of a tensor that a checkpoint stores.

    A checkpoint saved from the bare model lacks the first name of the path.
    """
    root = architecture.blocks.partition(".")[0]
    if _is_in(stored_name, architecture.unembedding):
        return BARE_UNEMBEDDING + stored_name[len(architecture.unembedding) :]
    if _is_in(stored_name, root) or _is_in(stored_name, BARE_UNEMBEDDING):
        return stored_name
    return f"{root}.{stored_name}"


def stream_axis(
    architecture: Architecture, name: str, shape: tuple[int, int], d_model: int
) -> int | None:
    """Return the axis of a matrix along which the residual stream lies: 0 or 1.

    It is what a projection into the stream writes, and what any other projection of a block reads.
    None for a matrix outside the blocks neither side of which is as wide as the stream.
    name: in the causal language model.
    """
    layer, rest = split_name(architecture, name)
    if layer == OUTSIDE_LAYERS:
        return next((axis for axis in (1, 0) if shape[axis] == d_model), None)
    writes = _part_in_block(architecture, rest) == "values" or _is_in(
        rest, f"{architecture.attention}.{architecture.output_projection}"
    )
    # GPT-2's Conv1D stores its inputs as rows, all others their outputs.
    return 0 if writes != architecture.neurons_in_rows else 1


def _part_in_block(architecture: Architecture, name: str) -> Part:
    """Find the part of a tensor by its name in its block."""
    prefix = f"{architecture.mlp}." if architecture.mlp else ""
    if _is_in(name, prefix + architecture.down_projection):
        return "values"
    if _is_in(name, architecture.mlp or architecture.key_projection):
        return "keys"
    return "attention" if _is_in(name, architecture.attention) else "norms"


def neuron_axis(architecture: Architecture, part: Part, dimensions: int) -> int | None:
    """Return the axis of a tensor of an MLP along which its neurons lie.

    Where gate and up projection are one matrix, the axis is twice as long as there are neurons:
    those of the gate, then those of the up projection. dimensions: 2 for a matrix, 1 for a bias.
    None for the down projection's bias, which belongs to no neuron.
    """
    if dimensions == 1:
        return 0 if part == "keys" else None
    # As stored, the key projection is the other way round than the down projection.
    return 0 if architecture.neurons_in_rows == (part == "values") else 1


def _is_in(name: str, path: str) -> bool:
    return name.startswith(f"{path}.")
