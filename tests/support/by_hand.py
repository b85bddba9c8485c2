"""The package's results computed directly: without cache, padding or batches."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase


def stack(model: PreTrainedModel) -> nn.ModuleList:
    """The transformer blocks."""
    inner = model.base_model
    if hasattr(inner, "decoder"):
        inner = inner.decoder
    return inner.h if hasattr(inner, "h") else inner.layers


@dataclass
class Mlp:
    """What one layer's MLP consists of, whatever its modules are called."""

    reader: nn.Module
    down: nn.Module
    keys: Tensor
    """(d_mlp, d_model), a copy; those of the gate where there is one."""
    key_bias: Tensor | float
    ups: Tensor | None
    """(d_mlp, d_model) of the up projection of a gated MLP."""
    values: Tensor
    """(d_mlp, d_model)."""
    value_bias: Tensor | None
    activation: Callable[[Tensor], Tensor]


def mlp_of(model: PreTrainedModel, layer: int) -> Mlp:
    """The MLP of a layer, its modules found by their own names."""
    kind, block = model.config.model_type, stack(model)[layer]
    if kind == "gpt2":
        reader, down = block.mlp.c_fc, block.mlp.c_proj
        matrix, bias = reader.weight.T, reader.bias
        values = down.weight
        return Mlp(reader, down, matrix.clone(), bias, None, values, down.bias, gelu_tanh)
    if kind in ("opt", "phi", "gpt_neox"):
        reader, down, activation = {
            "opt": lambda: (block.fc1, block.fc2, functional.relu),
            "phi": lambda: (block.mlp.fc1, block.mlp.fc2, gelu_tanh),
            "gpt_neox": lambda: (
                block.mlp.dense_h_to_4h, block.mlp.dense_4h_to_h, functional.gelu
            ),
        }[kind]()  # fmt: skip
        keys, values = reader.weight.clone(), down.weight.T
        return Mlp(reader, down, keys, reader.bias, None, values, down.bias, activation)
    mlp = block.mlp
    if kind == "phi3":
        reader = mlp.gate_up_proj
        keys, ups = reader.weight.clone().chunk(2)
    else:
        reader, keys, ups = mlp.gate_proj, mlp.gate_proj.weight.clone(), mlp.up_proj.weight
    activation = gelu_tanh if kind.startswith("gemma") else functional.silu
    down = mlp.down_proj
    return Mlp(reader, down, keys, 0.0, ups, down.weight.T, None, activation)


def output_projection_of(model: PreTrainedModel, layer: int) -> nn.Module:
    """What the heads of a layer write through, found by its own name."""
    kind, block = model.config.model_type, stack(model)[layer]
    if kind == "gpt2":
        return block.attn.c_proj
    if kind == "gpt_neox":
        return block.attention.dense
    return getattr(block.self_attn, {"phi": "dense", "opt": "out_proj"}.get(kind, "o_proj"))


def heads_by_algebra(model: PreTrainedModel, layer: int, z: Tensor) -> Tensor:
    """What each head writes to the stream at a token, (n_heads, d_model), without the bias.

    z: (n_heads * d_head,), what the output projection reads.
    """
    weight = output_projection_of(model, layer).weight.detach().to(z)
    weight = weight if model.config.model_type == "gpt2" else weight.T
    parts = torch.arange(len(z)).chunk(model.config.num_attention_heads)
    heads = torch.stack([z[part] @ weight[part] for part in parts])
    block = stack(model)[layer]
    if not hasattr(block, "post_feedforward_layernorm"):
        return heads
    gain = block.post_attention_layernorm.weight.detach().to(z)
    gain = gain + model.config.model_type.startswith("gemma")
    return gain * heads / (heads.sum(dim=0).square().mean() + model.config.rms_norm_eps).sqrt()


def written_vectors(model: PreTrainedModel, layer: int) -> Tensor:
    """What a layer's neurons write to the stream, (d_mlp, d_model) float64, in the norm's units."""
    values = mlp_of(model, layer).values.detach().double()
    norm = getattr(stack(model)[layer], "post_feedforward_layernorm", None)
    if norm is None:
        return values
    return values * (norm.weight.detach().double() + model.config.model_type.startswith("gemma"))


def gelu_tanh(states: Tensor) -> Tensor:
    """GELU in the approximation of GPT-2, Gemma and Phi."""
    return functional.gelu(states, approximate="tanh")


def neurons_by_algebra(mlp: Mlp, states: Tensor) -> Tensor:
    """Activations of a layer's neurons, (…, d_mlp), from the states that its MLP reads."""
    opened = mlp.activation(states @ mlp.keys.T + mlp.key_bias)
    return opened if mlp.ups is None else opened * (states @ mlp.ups.T)


def output_by_algebra(mlp: Mlp, activations: Tensor) -> Tensor:
    """Output of a layer's MLP, (…, d_model), from the activations of its neurons."""
    output = activations @ mlp.values
    return output if mlp.value_bias is None else output + mlp.value_bias


def forward(model: PreTrainedModel, ids: list[list[int]]) -> dict[str, list[Tensor] | Tensor]:
    """One forward pass: `inputs` and `outputs` of each MLP, its `neurons`, and the `logits`.

    `written` is what the MLP adds to the residual stream: its output, or that of a norm after it.
    `z` is what the heads of attention give to the output projection.
    All but the logits are lists, a tensor (batch, positions, width) a layer.
    """
    seen: dict[str, list] = {"inputs": [], "outputs": [], "neurons": [], "written": [], "z": []}

    def keep(name: str, tensor: Tensor) -> None:
        seen[name].append(tensor.view(len(ids), len(ids[0]), -1))

    hooks = []
    for mlp in (mlp_of(model, layer) for layer in range(len(stack(model)))):
        hooks.append(mlp.reader.register_forward_hook(lambda _, x, y: keep("inputs", x[0])))
        hooks.append(mlp.down.register_forward_hook(lambda _, x, y: keep("outputs", y)))
        hooks.append(mlp.down.register_forward_hook(lambda _, x, y: keep("neurons", x[0])))
    for block, layer in zip(stack(model), range(len(stack(model))), strict=True):
        heads = output_projection_of(model, layer)
        hooks.append(heads.register_forward_hook(lambda _, x, y: keep("z", x[0])))
        last = getattr(block, "post_feedforward_layernorm", mlp_of(model, layer).down)
        hooks.append(last.register_forward_hook(lambda _, x, y: keep("written", y)))
    try:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor(ids), use_cache=False).logits
    finally:
        for hook in hooks:
            hook.remove()
    return {**seen, "logits": logits}


def streams_alone(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str
) -> np.ndarray:
    """The stream after each block, of one text without padding: (layers, tokens, d_model)."""
    states: list[Tensor] = []
    hooks = [
        block.register_forward_hook(
            lambda _, x, y: states.append((y[0] if isinstance(y, tuple) else y)[0])
        )
        for block in stack(model)
    ]
    with torch.no_grad():
        model(input_ids=torch.tensor([tokenizer(text)["input_ids"]]))
    for hook in hooks:
        hook.remove()
    return torch.stack(states).numpy()


def hooks_left(model: PreTrainedModel) -> int:
    """Number of hooks in all of a model's modules."""
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def state_of(model: PreTrainedModel) -> dict[str, Tensor]:
    """A copy of all weights."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same_state(model: PreTrainedModel, before: dict[str, Tensor]) -> bool:
    """Whether all weights are unchanged, bit for bit."""
    now = model.state_dict()
    return now.keys() == before.keys() and all(torch.equal(now[name], before[name]) for name in now)


def continue_alone(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: str, n_tokens: int
) -> tuple[list[int], list[int]]:
    """Ids of a prompt and of its greedy continuation, up to and with an end token."""
    prompt_ids = tokenizer(prompt)["input_ids"]
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    written: list[int] = []
    while len(written) < n_tokens and not set(written) & set(ends):
        written.append(int(forward(model, [prompt_ids + written])["logits"][0, -1].argmax()))
    return prompt_ids, written


def sums_alone(
    model: PreTrainedModel, prompt_ids: list[int], written: list[int], positions: str
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of activations (n_layers, d_mlp) and MLP outputs (n_layers, d_model) over `written`.

    `written` holds counted tokens only; one pass over the prompt and them, no padding.
    """
    seen = forward(model, [prompt_ids + written])
    start = len(prompt_ids) - (positions == "predicting")
    counted = slice(start, start + len(written))
    neurons = [layer[0, counted] for layer in seen["neurons"]]
    outputs = [output_by_algebra(mlp_of(model, i), m).detach() for i, m in enumerate(neurons)]
    return tuple(np.stack([one.sum(dim=0).numpy() for one in each]) for each in (neurons, outputs))
