"""What a second model's neurons do on what a first model reads while that generates.

On the first model's MLP inputs a neuron's activation differs from the first model's by the neuron's
own weights alone. On the first model's text, read by all of the second model, it differs from that
by the layers below. What is left to the second model's own activation is that it writes other text.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from dpo_neurons.activations.capture import CountedSums
from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import Layers, view_by_prompt


class CrossedCapture(CountedSums):
    """Sums the `activations` that another model's neurons give on the MLP inputs of this one.

    And, as `same_text`, what they do when the other model reads the prompts and continuations.

    An MLP's input is what its key projection reads, this model's norm before it included. It goes
    through the other model's MLP of the same layer, up to the input of the down projection: key
    projection, up projection of a gated MLP, their biases. `model` itself is left as it is.

    Raises InputError if the two differ in their layers, neurons or width.
    """

    def __init__(self, model: PreTrainedModel, other: PreTrainedModel, positions: str) -> None:
        super().__init__(model, positions)
        self._positions = positions
        self._other_model, self._other = other, Layers.of(other)
        shapes = [
            (one.architecture, len(one.blocks), one.d_mlp, one.d_model)
            for one in (self._layers, self._other)
        ]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"{model.config.name_or_path}, {other.config.name_or_path}: the two checkpoints "
                f"are not of one architecture (layers, neurons, width: {shapes[0][1:]} and "
                f"{shapes[1][1:]}); set models.….post to one tuned from models.….pre"
            )

    def see_prompts(self, input_ids: Tensor, attention_mask: Tensor, pad: int) -> None:
        """Keep the batch's prompts, to be read by the other model."""
        self._prompts = input_ids, attention_mask

    def end_batch(self, tokens: np.ndarray, mask: np.ndarray) -> None:
        """Let the other model read what this one wrote, and sum over the same positions."""
        self.sums["mlp_post_same_text"] = self._sums_on_text(tokens, mask)

    def _sums_on_text(self, continuations: np.ndarray, continued: np.ndarray) -> Tensor:
        device = self._other_model.device
        ids, mask = (each.to(device) for each in self._prompts)
        tokens = torch.tensor(continuations, dtype=ids.dtype, device=device)
        counted = torch.tensor(continued, device=device)[..., None]
        read = torch.cat([mask, torch.ones_like(tokens)], dim=1)
        rows, start = len(ids), ids.shape[1] - (self._positions == "predicting")
        sums = torch.zeros((rows, len(self._other.blocks), self._other.d_mlp), device=device)

        def reader(layer: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
            def add(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
                states = view_by_prompt(inputs[0], rows)[:, start : start + tokens.shape[1]]
                kept = torch.where(counted.to(states.device), states, 0)
                sums[:, layer].copy_(kept.sum(dim=1, dtype=torch.float32))

            return add

        hooks = [
            projection.register_forward_pre_hook(reader(layer))
            for layer, projection in enumerate(self._other.down_projections)
        ]
        try:
            with torch.inference_mode():
                self._other_model.base_model(
                    input_ids=torch.cat([ids, tokens], dim=1),
                    attention_mask=read,
                    # Left padding counts for no position, as in generation.
                    position_ids=(read.cumsum(dim=1) - 1).clamp(min=0),
                    use_cache=False,
                )
        finally:
            for hook in hooks:
                hook.remove()
        return sums

    def _widths(self) -> dict[str, int]:
        return {"mlp_post": self._layers.d_mlp}

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
            states = self._last(inputs[0])[:, None].to(keys.get_parameter("weight").device)
            if architecture.mlp:
                block.get_submodule(architecture.mlp)(states)
            else:
                # An MLP that is no module of its own: its parts are the block's.
                down = block.get_submodule(architecture.down_projection)
                down(block.activation_fn(keys(states)))

        return read

    def _neuron_reader(self, layer: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def read(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self._keep("mlp_post", layer, inputs[0])

        return read
