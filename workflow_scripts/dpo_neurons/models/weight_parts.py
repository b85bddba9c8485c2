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


class Place(NamedTuple):
    """Where a tensor belongs."""

    layer: int
    """From 0, or OUTSIDE_LAYERS."""
    part: Part


def place_of(architecture: Architecture, name: str) -> Place:
    """Find the layer and the part of a tensor.

    name: in the causal language model, such as "model.layers.0.mlp.up_proj.weight", or as stored
    by a bare model, without the first name of the path.
    """
    blocks = architecture.blocks
    for path in (blocks, blocks.partition(".")[2]):
        if path and _is_in(name, path):
            number, _, rest = name[len(path) + 1 :].partition(".")
            return Place(int(number), _part_in_block(architecture, rest))
    final_norm = architecture.final_norm
    is_norm = any(_is_in(name, path) for path in (final_norm, final_norm.partition(".")[2]))
    return Place(OUTSIDE_LAYERS, "norms" if is_norm else "embedding")


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
