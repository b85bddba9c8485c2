"""Capture of activations, MLP outputs and residual streams during generation.

The activation of a neuron is the input of its layer's down projection. Each forward pass of
generation reads the newest position, which is the last one because padding is on the left.
"""

from abc import abstractmethod
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from dpo_neurons.activations.stream_hooks import equal_quantities, hook_stream, stream_shapes
from dpo_neurons.models.architectures import Layers, view_by_prompt
from dpo_neurons.models.decoding import TokenObserver, end_tokens

POSITIONS = ("generated", "predicting")


class CountedSums(TokenObserver):
    """Sums the values that hooks read over a batch's generated tokens.

    positions "generated": the positions where each generated token is read, as in the paper. The
    last token needs one more forward pass. "predicting": the positions where each generated token
    is predicted, from the last token of the prompt on. The end-of-sequence token and later ones do
    not count.

    Use it as a context manager; the hooks are removed after the block.
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
    def _shapes(self) -> dict[str, tuple[int, int]]:
        """Return layers and width of each summed quantity, by name."""

    @abstractmethod
    def _new_hooks(self) -> Iterator[RemovableHandle]:
        """Register hooks that pass the values that they read to `_store`."""

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
        """Reset the sums and start a batch."""
        self.sums = self._zeros(batch_size)
        """By name, (batch, n_layers, width) float32: sums over each prompt's counted positions."""
        self._newest = {} if self.needs_last_token else self._zeros(batch_size)
        self._alive = torch.ones(batch_size, dtype=torch.bool, device=self._device)
        self._counted: Tensor | None = None

    def see_tokens(self, tokens: Tensor) -> None:
        """See the tokens, (batch,), chosen by the forward pass that just ended."""
        self._alive = self._alive & ~torch.isin(tokens, self._ends)
        if self.needs_last_token:
            # The next pass reads these tokens.
            self._counted = self._alive[:, None]
            return
        # In place: a copy would need memory when memory is fullest.
        left_out = ~self._alive[:, None, None]
        for name, newest in self._newest.items():
            self.sums[name] += newest.masked_fill_(left_out, 0)

    def see_last_token_read(self) -> None:
        """See that the last token is read; later passes are not of the continuation."""
        self._counted = None

    def _store(self, name: str, layer: int, newest: Tensor) -> None:
        """Take the values of a forward pass's newest position, (batch, 1, width).

        Whether a token counts is known before the pass that reads it, and after the one that
        predicts it.
        """
        if not self.needs_last_token:
            self._newest[name][:, layer].copy_(newest[:, 0])
        elif self._counted is not None:
            # Masked, not multiplied by zero: a NaN at a position left out must not spread.
            read = newest[:, 0].to(self._device, torch.float32)
            self.sums[name][:, layer] += torch.where(self._counted, read, 0)

    def _pick_newest(self, states: Tensor) -> Tensor:
        """Return the newest position of states, (batch, 1, width)."""
        return view_by_prompt(states, len(self._alive))[:, -1:]

    def _zeros(self, batch_size: int) -> dict[str, Tensor]:
        return {
            name: torch.zeros((batch_size, *shape), device=self._device)
            for name, shape in self._shapes().items()
        }


class ActivationCapture(CountedSums):
    """Sums what `hook_stream` reads: activations, the stream, and what is written into it.

    Quantities that are equal share a tensor.
    """

    def __init__(self, model: PreTrainedModel, positions: str) -> None:
        super().__init__(model, positions)
        self._equal = equal_quantities(self._layers)

    def begin_batch(self, batch_size: int) -> None:
        """Reset the sums and start a batch."""
        super().begin_batch(batch_size)
        self.sums |= {name: self.sums[other] for name, other in self._equal.items()}

    def _shapes(self) -> dict[str, tuple[int, int]]:
        shapes = stream_shapes(self._layers)
        return {name: shape for name, shape in shapes.items() if name not in self._equal}

    def _new_hooks(self) -> Iterator[RemovableHandle]:
        def store(name: str, layer: int, newest: Tensor) -> None:
            if name not in self._equal:
                self._store(name, layer, newest)

        return hook_stream(self._layers, self._pick_newest, store)
