"""Reads activations, MLP outputs and the residual stream while a model generates, in the same pass.

The activation of a neuron is the input of its layer's down projection. At every forward pass of
generation the newest position, the last one under left padding, is read.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from dpo_neurons.models.architectures import Layers, view_by_prompt
from dpo_neurons.models.decoding import TokenObserver, end_tokens

POSITIONS = ("generated", "predicting")


class CountedSums(TokenObserver):
    """Sums what its hooks read over the positions of a batch's generated tokens.

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
        self._hooks: list[RemovableHandle] = []

    @abstractmethod
    def _widths(self) -> dict[str, int]:
        """What is summed, by name, and how wide a layer of it is."""

    @abstractmethod
    def _new_hooks(self) -> Iterator[RemovableHandle]:
        """Register hooks that `_keep` what they read."""

    def __enter__(self) -> Self:
        self._hooks.extend(self._new_hooks())
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
        self._newest = self._zeros(batch_size)
        self.sums = self._zeros(batch_size)
        """By name, (batch, n_layers, width) float32: sums over each prompt's counted positions."""
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
        # Not a product: a NaN at a position left out must not spread. In place: the next pass
        # overwrites what was read, and a copy would be needed while memory is fullest.
        left_out = ~counted[:, None, None]
        for name, sums in self.sums.items():
            sums += self._newest[name].masked_fill_(left_out, 0)

    def _keep(self, name: str, layer: int, states: Tensor) -> None:
        self._newest[name][:, layer].copy_(self._last(states))

    def _last(self, states: Tensor) -> Tensor:
        """The newest position of states, as (batch, width)."""
        return view_by_prompt(states, len(self._alive))[:, -1]

    def _zeros(self, batch_size: int) -> dict[str, Tensor]:
        n_layers = len(self._layers.blocks)
        return {
            name: torch.zeros((batch_size, n_layers, width), device=self._device)
            for name, width in self._widths().items()
        }


class ActivationCapture(CountedSums):
    """Sums `mlp_post`, `mlp_out` and `resid_post`, the stream after each block."""

    def _widths(self) -> dict[str, int]:
        d_mlp, d_model = self._layers.d_mlp, self._layers.d_model
        return {"mlp_post": d_mlp, "mlp_out": d_model, "resid_post": d_model}

    def _new_hooks(self) -> Iterator[RemovableHandle]:
        for layer, projection in enumerate(self._layers.down_projections):
            yield projection.register_forward_hook(self._neuron_reader(layer))
        for layer, block in enumerate(self._layers.blocks):
            yield block.register_forward_hook(self._residual_reader(layer))

    def _neuron_reader(self, layer: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def read(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self._keep("mlp_post", layer, inputs[0])
            self._keep("mlp_out", layer, output)

        return read

    def _residual_reader(
        self, layer: int
    ) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor | tuple[Tensor, ...]], None]:
        def read(
            module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | tuple[Tensor, ...]
        ) -> None:
            # Some blocks return the stream alone, others a tuple that begins with it.
            self._keep("resid_post", layer, output if isinstance(output, Tensor) else output[0])

        return read
