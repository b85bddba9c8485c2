"""Activations of a second model on the inputs and text of a first model.

Each step adds one more cause of a difference:

1. the first model's neuron on the first model's MLP inputs: its own activation;
2. the second model's neuron on the same MLP inputs: the neuron's own weights differ;
3. the second model's neuron when that model reads the first model's text: the layers below differ;
4. the second model's neuron on the second model's own text: the text differs too.

This module captures 2 and 3.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from dpo_neurons.activations.capture import CountedSums
from dpo_neurons.activations.stream_hooks import hook_stream, stream_shapes
from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import Layers, view_by_prompt

SAME_TEXT = ("mlp_post", "resid_pre", "attn_z_normed", "mlp_written", "resid_post")
"""What is summed of the other model that reads this model's text, as in `hook_stream`."""


class CrossedCapture(CountedSums):
    """Sums another model's activations on this model's MLP inputs and on its text.

    `mlp_post_crossed`: this model's MLP inputs go through the other model's MLP of the same layer,
    up to the input of the down projection. An MLP input is what the key projection reads, after
    this model's norm. The other MLP applies its key projection, its up projection if it is gated,
    and their biases.
    `…_same_text` of each quantity in SAME_TEXT: the other model reads the prompts and this model's
    continuations.

    `model` itself stays unchanged.
    Raises InputError if the models differ in architecture, layers, neurons or width.
    """

    def __init__(self, model: PreTrainedModel, other: PreTrainedModel, positions: str) -> None:
        super().__init__(model, positions)
        self._positions = positions
        self._other_model, self._other = other, Layers.of(other)
        shapes = [
            (layers.architecture, len(layers.blocks), layers.d_mlp, layers.d_model)
            for layers in (self._layers, self._other)
        ]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"{model.config.name_or_path}, {other.config.name_or_path}: the two checkpoints "
                f"differ in architecture (layers, neurons, width: {shapes[0][1:]} and "
                f"{shapes[1][1:]}); set models.….post to one tuned from models.….pre"
            )

    def see_prompts(self, input_ids: Tensor, attention_mask: Tensor, pad: int) -> None:
        """Store the batch's prompts for the other model."""
        self._prompts = input_ids, attention_mask

    def end_batch(self, tokens: np.ndarray, mask: np.ndarray) -> None:
        """Sum the other model's activations on this model's text, over the same positions."""
        self.sums |= self._sums_on_text(tokens, mask)

    def _sums_on_text(self, continuations: np.ndarray, continued: np.ndarray) -> dict[str, Tensor]:
        device = self._other_model.device
        ids, mask = (tensor.to(device) for tensor in self._prompts)
        tokens = torch.tensor(continuations, dtype=ids.dtype, device=device)
        counted = torch.tensor(continued, device=device)[..., None]
        read = torch.cat([mask, torch.ones_like(tokens)], dim=1)
        rows, start = len(ids), ids.shape[1] - (self._positions == "predicting")
        sums = {
            name: torch.zeros((rows, *shape), device=device)
            for name, shape in stream_shapes(self._other).items()
            if name in SAME_TEXT
        }

        def pick(states: Tensor) -> Tensor:
            return view_by_prompt(states, rows)[:, start : start + tokens.shape[1]]

        def add(name: str, layer: int, states: Tensor) -> None:
            if name in sums:
                counted_states = torch.where(counted.to(states.device), states, 0)
                sums[name][:, layer].copy_(counted_states.sum(dim=1, dtype=torch.float32))

        hooks: list[RemovableHandle] = []
        try:
            hooks.extend(hook_stream(self._other, pick, add))
            with torch.inference_mode():
                self._other_model.base_model(
                    input_ids=torch.cat([ids, tokens], dim=1),
                    attention_mask=read,
                    # Left padding takes no position, as in generation.
                    position_ids=(read.cumsum(dim=1) - 1).clamp(min=0),
                    use_cache=False,
                )
        finally:
            for hook in hooks:
                hook.remove()
        return {f"{name}_same_text": total for name, total in sums.items()}

    def _shapes(self) -> dict[str, tuple[int, int]]:
        return {"mlp_post_crossed": (len(self._layers.blocks), self._layers.d_mlp)}

    def _new_hooks(self) -> Iterator[RemovableHandle]:
        for layer, projection in enumerate(self._layers.key_projections):
            yield projection.register_forward_pre_hook(self._input_reader(layer))
        for layer, projection in enumerate(self._other.down_projections):
            yield projection.register_forward_pre_hook(self._neuron_reader(layer))

    def _input_reader(self, layer: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        keys = self._other.key_projections[layer]
        block: Any = self._other.blocks[layer]
        architecture = self._other.architecture

        def read(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            states = self._pick_newest(inputs[0]).to(keys.get_parameter("weight").device)
            if architecture.mlp:
                block.get_submodule(architecture.mlp)(states)
            else:
                # This architecture's MLP is not a module of its own; the block holds its parts.
                down = block.get_submodule(architecture.down_projection)
                down(block.activation_fn(keys(states)))

        return read

    def _neuron_reader(self, layer: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def read(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self._store("mlp_post_crossed", layer, self._pick_newest(inputs[0]))

        return read
