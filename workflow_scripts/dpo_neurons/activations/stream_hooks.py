"""Hooks that read what each part of a model writes into the residual stream.

The stream after block l is the stream before the first block plus what attention and MLP of blocks
0 to l have written. A norm between a part and the stream multiplies what the part puts out, at each
token, by one number and by a gain for each coordinate. Within a token it is therefore linear, and
each head's part of what attention writes stays exact.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from dpo_neurons.models.architectures import Layers

Pick = Callable[[Tensor], Tensor]
"""Picks positions of states, (batch, positions, width): (batch, picked, width)."""
Store = Callable[[str, int, Tensor], None]
"""Takes the name of a quantity, a layer, and the picked states, (batch, picked, width)."""
Inputs = tuple[Tensor, ...]


def stream_shapes(layers: Layers) -> dict[str, tuple[int, int]]:
    """Return layers and width of each quantity that `hook_stream` reads, by name."""
    n_layers, d_model = len(layers.blocks), layers.d_model
    return {
        "mlp_post": (n_layers, layers.d_mlp),
        "mlp_out": (n_layers, d_model),
        "resid_pre": (1, d_model),
        "attn_z": (n_layers, layers.d_attn),
        "attn_z_normed": (n_layers, layers.d_attn),
        "mlp_written": (n_layers, d_model),
        "resid_post": (n_layers, d_model),
    }


def equal_quantities(layers: Layers) -> dict[str, str]:
    """Return the quantities that equal another one, with its name: no norm comes between them."""
    equal = {}
    if layers.norms_after_attention is None:
        equal["attn_z_normed"] = "attn_z"
    if layers.norms_after_mlp is None:
        equal["mlp_written"] = "mlp_out"
    return equal


def hook_stream(layers: Layers, pick: Pick, store: Store) -> Iterator[RemovableHandle]:
    """Register hooks that read the stream and what is written into it, and yield them.

    mlp_post: activations of neurons, (…, d_mlp). mlp_out: output of the MLP, (…, d_model).
    mlp_written: the same behind the norm that follows it, if any. attn_z: what the heads of
    attention give to the output projection, (…, n_heads · d_head). attn_z_normed: the same times
    the number that a norm after attention, if any, multiplies the token with. resid_pre: stream
    before the first block. resid_post: stream after each block.
    """
    yield layers.blocks[0].register_forward_pre_hook(
        lambda block, inputs: store("resid_pre", 0, pick(inputs[0]))
    )
    for layer, block in enumerate(layers.blocks):
        yield from _hook_attention(layers, layer, pick, store)
        yield from _hook_mlp(layers, layer, pick, store)
        yield block.register_forward_hook(_stream_reader(layer, pick, store))


def _hook_attention(
    layers: Layers, layer: int, pick: Pick, store: Store
) -> Iterator[RemovableHandle]:
    norms = layers.norms_after_attention
    heads: list[Tensor] = []

    def read_heads(module: nn.Module, inputs: Inputs, output: Tensor) -> None:
        heads[:] = [pick(inputs[0])]
        store("attn_z", layer, heads[0])
        if norms is None:
            store("attn_z_normed", layer, heads[0])

    # After the projection, as neurons are: plans change what it reads before.
    yield layers.output_projections[layer].register_forward_hook(read_heads)
    if norms is None:
        return
    gain = layers.gain_of(norms[layer])

    def scale_heads(module: nn.Module, inputs: Inputs, output: Tensor) -> None:
        scale = measure_scale(pick(inputs[0]), pick(output), gain)
        store("attn_z_normed", layer, heads[0] * scale.to(heads[0]))

    yield norms[layer].register_forward_hook(scale_heads)


def measure_scale(states: Tensor, normed: Tensor, gain: Tensor) -> Tensor:
    """Measure the number that a norm without centring multiplied each token with: (…, 1) float64.

    states, normed: what it read and gave, (…, d_model). gain: (d_model,) float64. It is the
    least-squares solution of normed = scale · gain ⊙ states; zero for states of zeros.
    """
    scaled = states.double() * gain.to(states.device)
    size = (scaled**2).sum(dim=-1, keepdim=True)
    along = (scaled * normed.double()).sum(dim=-1, keepdim=True)
    return torch.where(size > 0, along / size.clamp(min=torch.finfo(size.dtype).tiny), 0.0)


def _hook_mlp(layers: Layers, layer: int, pick: Pick, store: Store) -> Iterator[RemovableHandle]:
    normed = layers.norms_after_mlp is not None

    def read_neurons(module: nn.Module, inputs: Inputs, output: Tensor) -> None:
        store("mlp_post", layer, pick(inputs[0]))
        written = pick(output)
        store("mlp_out", layer, written)
        if not normed:
            store("mlp_written", layer, written)

    yield layers.down_projections[layer].register_forward_hook(read_neurons)
    if layers.norms_after_mlp is not None:
        yield layers.norms_after_mlp[layer].register_forward_hook(
            lambda module, inputs, output: store("mlp_written", layer, pick(output))
        )


def _stream_reader(
    layer: int, pick: Pick, store: Store
) -> Callable[[nn.Module, Inputs, Tensor | Inputs], None]:
    def read(module: nn.Module, inputs: Inputs, output: Tensor | Inputs) -> None:
        # Some blocks return only the stream, others a tuple that begins with the stream.
        store("resid_post", layer, pick(output if isinstance(output, Tensor) else output[0]))

    return read
