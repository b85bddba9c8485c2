"""What the package computes, computed once more the long way: no cache, no padding, no batches."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.families import Layers


def mlps(model: PreTrainedModel) -> list[nn.Module]:
    """The MLP of every layer."""
    stack = model.transformer.h if model.config.model_type == "gpt2" else model.model.layers
    return [block.mlp for block in stack]


def neurons_by_algebra(model: PreTrainedModel, layer: int, states: Tensor) -> Tensor:
    """Activations of a layer's neurons, (…, d_mlp), from the states that its MLP reads."""
    mlp = mlps(model)[layer]
    if model.config.model_type == "gpt2":
        inner = states @ mlp.c_fc.weight + mlp.c_fc.bias
        return functional.gelu(inner, approximate="tanh")
    gate = states @ mlp.gate_proj.weight.T
    silu = model.config.model_type in ("llama", "mistral")
    opened = functional.silu(gate) if silu else functional.gelu(gate, approximate="tanh")
    return opened * (states @ mlp.up_proj.weight.T)


def output_by_algebra(model: PreTrainedModel, layer: int, activations: Tensor) -> Tensor:
    """Output of a layer's MLP, (…, d_model), from the activations of its neurons."""
    mlp = mlps(model)[layer]
    if model.config.model_type == "gpt2":
        return activations @ mlp.c_proj.weight + mlp.c_proj.bias
    return activations @ mlp.down_proj.weight.T


def forward(model: PreTrainedModel, ids: list[list[int]]) -> dict[str, list[Tensor] | Tensor]:
    """One forward pass: `inputs` and `outputs` of each MLP, its `neurons`, and the `logits`."""
    seen: dict[str, list] = {"inputs": [], "outputs": [], "neurons": []}
    hooks = []
    for mlp, down in zip(mlps(model), Layers.of(model).down_projections, strict=True):
        hooks.append(mlp.register_forward_hook(lambda _, x, y: seen["inputs"].append(x[0])))
        hooks.append(mlp.register_forward_hook(lambda _, x, y: seen["outputs"].append(y)))
        hooks.append(down.register_forward_hook(lambda _, x, y: seen["neurons"].append(x[0])))
    try:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor(ids), use_cache=False).logits
    finally:
        for hook in hooks:
            hook.remove()
    return {**seen, "logits": logits}


def hooks_left(model: PreTrainedModel) -> int:
    """Number of hooks in all of a model's modules."""
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def state_of(model: PreTrainedModel) -> dict[str, Tensor]:
    """A copy of all weights."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same_state(model: PreTrainedModel, before: dict[str, Tensor]) -> bool:
    """Whether all weights are what they were, bit for bit."""
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
    return (
        np.stack([neurons[0, counted].sum(dim=0).numpy() for neurons in seen["neurons"]]),
        np.stack(
            [
                output_by_algebra(model, layer, neurons[0, counted]).sum(dim=0).detach().numpy()
                for layer, neurons in enumerate(seen["neurons"])
            ]
        ),
    )
