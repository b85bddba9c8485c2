"""Reading neuron activations and MLP outputs while a model generates: no second pass.

The activation of a neuron is the input of its layer's down projection. At every forward pass of
generation the newest position, the last one under left padding, is read.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from dpo_neurons.families import Layers, by_prompt
from dpo_neurons.generation import TokenObserver, end_tokens

POSITIONS = ("generated", "predicting")


class ActivationCapture(TokenObserver):
    """Sums activations over the positions of a batch's generated tokens, as they are generated.

    positions "generated": where each generated token is read (the paper's choice; the last token
    needs one forward pass more). "predicting": where each generated token is predicted, from the
    last token of the prompt on. Tokens from the end of the sequence on do not count.

    Use as a context manager; the hooks are gone after the block.
    """

    def __init__(self, model: PreTrainedModel, positions: str) -> None:
        if positions not in POSITIONS:
            raise ValueError(f"positions must be one of {POSITIONS}, not {positions!r}")
        self.needs_last_token = positions == "generated"
        self._layers = Layers.of(model)
        self._device = model.device
        self._ends = torch.tensor(end_tokens(model), dtype=torch.long, device=model.device)
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> Self:
        for layer, projection in enumerate(self._layers.down_projections):
            self._hooks.append(projection.register_forward_hook(self._reader(layer)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def begin_batch(self, batch_size: int) -> None:
        """Forget the sums and start a batch."""
        n_layers, d_mlp, d_model = (
            len(self._layers.blocks),
            self._layers.d_mlp,
            self._layers.d_model,
        )
        self._activations = self._zeros(n_layers, batch_size, d_mlp)
        self._outputs = self._zeros(n_layers, batch_size, d_model)
        self.activation_sums = self._zeros(n_layers, batch_size, d_mlp)
        """(n_layers, batch, d_mlp) float32: sums over the counted positions of each prompt."""
        self.output_sums = self._zeros(n_layers, batch_size, d_model)
        """(n_layers, batch, d_model) float32: likewise for the MLP outputs."""
        self._alive = torch.ones(batch_size, dtype=torch.bool, device=self._device)
        self._seen_tokens = 0

    def see_tokens(self, tokens: Tensor) -> None:
        """Count the forward pass that chose these tokens, for the prompts where it counts."""
        going_on = self._alive & ~torch.isin(tokens, self._ends)
        if not self.needs_last_token:
            self._add(going_on)
        elif self._seen_tokens > 0:
            self._add(self._alive)
        self._alive = going_on
        self._seen_tokens += 1

    def _add(self, counted: Tensor) -> None:
        # torch.where rather than a product: a NaN at a position left out must not spread.
        rows = counted[None, :, None]
        self.activation_sums += torch.where(rows, self._activations, 0)
        self.output_sums += torch.where(rows, self._outputs, 0)

    def _reader(self, layer: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def read(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            rows = len(self._alive)
            self._activations[layer].copy_(by_prompt(inputs[0], rows)[:, -1])
            self._outputs[layer].copy_(by_prompt(output, rows)[:, -1])

        return read

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float32, device=self._device)
