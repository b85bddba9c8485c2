"""The second model's activations on each prompt, for prompt-specific patching."""

from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from dpo_neurons.activations.capture import ActivationCapture
from dpo_neurons.interventions.operations import SourceOperation, list_operations
from dpo_neurons.models.architectures import Layers, view_by_prompt
from dpo_neurons.models.decoding import TokenObserver, decode_greedily, end_tokens


class SourceActivations(TokenObserver):
    """Activations of the second model on each prompt, to assign in the first model.

    "set_prompt_mean" assigns the mean over the tokens that the second model generates after the
    prompt. `positions` (generated or predicting) says where they are read, as in the caches. In a
    text that is read, the mean is over the tokens so far: no position sees a later one.

    "set_token" assigns the second model's activation where it predicts the token of the same
    number, and on the tokens of the prompt. After the second model's end-of-sequence token the
    first model's activations stay unchanged.

    Every batch costs one more generation, by the second model.
    """

    def __init__(
        self, model: PreTrainedModel, plan: pd.DataFrame, n_tokens: int, positions: str
    ) -> None:
        self._model = model
        self._n_tokens = n_tokens
        self._positions = positions
        rows = plan[plan["operation"].isin(list_operations(SourceOperation))]
        self._by_mean = bool(rows["operation"].eq("set_prompt_mean").any())
        self._neurons = {
            int(layer): torch.tensor(group["neuron"].to_numpy())
            for layer, group in rows.groupby("layer")
        }
        self._means: dict[int, Tensor] = {}
        self._passes: list[dict[int, Tensor]] = []
        self._going_on: list[Tensor] = []
        self._step = 0

    def see_prompts(self, input_ids: Tensor, attention_mask: Tensor, pad: int) -> None:
        """Continue a batch of prompts with the second model, and store its activations."""
        self._forget()
        read = (input_ids.to(self._model.device), attention_mask.to(self._model.device), pad)
        if self._by_mean:
            with ActivationCapture(self._model, self._positions) as capture:
                capture.begin_batch(len(input_ids))
                extra = int(capture.needs_last_token)
                tokens = decode_greedily(self._model, *read, self._n_tokens + extra, capture)
            counts = self._alive(tokens[:, : self._n_tokens]).sum(dim=1)
            self._going_on = [counts > 0]
            counts = counts.clamp(min=1)
            for layer, neurons in self._neurons.items():
                sums = capture.sums["mlp_post"][:, layer, neurons.to(counts.device)]
                self._means[layer] = (sums / counts[:, None])[:, None]
        else:
            with self._recording(len(input_ids)):
                tokens = decode_greedily(self._model, *read, self._n_tokens, None)
            # The first pass reads the prompt; each later pass reads the token chosen before it.
            alive = self._alive(tokens)
            self._going_on = [torch.ones_like(alive[:, 0]), *alive.T[:-1]]

    def see_text(self, input_ids: Tensor) -> None:
        """Read a batch of texts with the second model, and store its activations."""
        self._forget()
        with self._recording(len(input_ids)), torch.inference_mode():
            self._model(input_ids=input_ids.to(self._model.device))
        if self._by_mean:
            recorded = self._passes.pop()
            self._means = {layer: _running_mean(recorded.pop(layer)) for layer in self._neurons}
        self._going_on = [torch.ones(len(input_ids), dtype=torch.bool)]

    def begin_batch(self, batch_size: int) -> None:
        """Do nothing: `see_prompts` has prepared the batch."""

    def see_tokens(self, tokens: Tensor) -> None:
        """Go on to the next pass."""
        self._step += 1

    def assign(self, layer: int, activations: Tensor, where: slice) -> Tensor:
        """Return activations, (batch, positions, d_mlp), with the second model's."""
        neurons = self._neurons[layer].to(activations.device)
        if self._by_mean:
            given, going_on = self._means[layer], self._going_on[0]
        elif self._step < len(self._passes):
            given, going_on = self._passes[self._step][layer], self._going_on[self._step]
        else:
            return activations
        going_on = going_on.to(activations.device)[:, None, None]
        given = given[:, where].to(activations)
        changed = activations.clone()
        changed[:, :, neurons] = torch.where(going_on, given, activations[:, :, neurons])
        return changed

    def _forget(self) -> None:
        self._means, self._passes, self._going_on, self._step = {}, [], [], 0

    def _alive(self, tokens: Tensor) -> Tensor:
        """Return whether no end-of-sequence token came up to each token: (batch, n)."""
        ends = torch.tensor(end_tokens(self._model), dtype=tokens.dtype, device=tokens.device)
        return torch.isin(tokens, ends).logical_not().cumprod(dim=1).bool()

    @contextmanager
    def _recording(self, rows: int) -> Iterator[None]:
        layers = Layers.of(self._model)
        first = min(self._neurons)

        def reader(layer: int, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if layer == first:
                self._passes.append({})
            neurons = self._neurons[layer].to(inputs[0].device)
            self._passes[-1][layer] = view_by_prompt(inputs[0], rows)[:, :, neurons].clone()

        hooks = [
            layers.down_projections[layer].register_forward_pre_hook(
                lambda module, inputs, layer=layer: reader(layer, module, inputs)
            )
            for layer in self._neurons
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _running_mean(activations: Tensor) -> Tensor:
    """Return the mean up to each position: (batch, positions, n) float32."""
    counts = torch.arange(1, activations.shape[1] + 1, device=activations.device)
    return activations.float().cumsum(dim=1) / counts[:, None]
