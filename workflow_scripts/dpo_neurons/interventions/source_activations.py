"""The second model's activations on each prompt, for prompt-specific patching."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from dpo_neurons.activations.capture import ActivationCapture
from dpo_neurons.interventions.operations import OPERATIONS, SourceOperation, list_operations
from dpo_neurons.models.architectures import Layers, Site, view_by_prompt
from dpo_neurons.models.decoding import (
    Decoder,
    TokenObserver,
    decode_greedily,
    end_tokens,
    read_answers,
)

_Place = tuple[int, Site]
"""A layer, and where its activations are read."""


class SourceActivations(TokenObserver):
    """Activations of the second model on each prompt, to assign in the first model.

    "set_prompt_mean" assigns the mean over the tokens that the second model generates after the
    prompt. `positions` (generated or predicting) says where they are read, as in the caches. In a
    text that is read, the mean is over the tokens so far: no position sees a later one.

    "set_token" assigns the second model's activation where it predicts the token of the same
    number of its own text, and on the tokens of the prompt. After the second model's
    end-of-sequence token the first model's activations stay unchanged.

    "set_same_text" assigns the second model's activation on the same token of the same text: at
    each step the second model reads what the changed first model has written. "set_head_same_text"
    does so with what heads give to the output projection.

    A plan's value λ says how far a neuron is moved: m + λ (s − m), all the way for 1.
    For every token that is generated the second model makes one forward pass too.
    """

    def __init__(
        self, model: PreTrainedModel, plan: pd.DataFrame, n_tokens: int, positions: str
    ) -> None:
        """Take the second model and a plan whose source operations are all of one kind.

        Raises ValueError for a plan that mixes kinds of source operations.
        """
        self._model = model
        self._n_tokens = n_tokens
        self._positions = positions
        rows = plan[plan["operation"].isin(list_operations(SourceOperation))]
        kinds = {cast(SourceOperation, OPERATIONS[name]).values for name in rows["operation"]}
        if len(kinds) != 1:
            raise ValueError(f"a plan needs one kind of source activations, not {sorted(kinds)}")
        (self._kind,) = kinds
        sites = rows["operation"].map(lambda name: cast(SourceOperation, OPERATIONS[name]).site)
        layers = Layers.of(model)
        self._neurons: dict[_Place, Tensor] = {}
        self._doses: dict[_Place, Tensor] = {}
        for (number, site), group in rows.groupby(["layer", sites]):
            layer = int(number)
            place = layer, site
            # On the layer's device once: each copy from the processor's memory waits for a GPU.
            device = layers.readers(site)[layer].get_parameter("weight").device
            self._neurons[place] = torch.tensor(group["neuron"].to_numpy(), device=device)
            self._doses[place] = torch.tensor(group["value"].to_numpy(), device=device)
        self._means: dict[_Place, Tensor] = {}
        self._passes: list[dict[_Place, Tensor]] = []
        self._going_on: list[Tensor] = []
        self._step = 0
        self._reader: Decoder | None = None

    def see_prompts(self, input_ids: Tensor, attention_mask: Tensor, pad: int) -> None:
        """Read a batch of prompts with the second model, and what it writes unless on one text."""
        self._forget()
        ids, mask = input_ids.to(self._model.device), attention_mask.to(self._model.device)
        if self._kind == "prompt":
            with ActivationCapture(self._model, self._positions) as capture:
                capture.begin_batch(len(ids))
                tokens = decode_greedily(self._model, ids, mask, pad, self._n_tokens, capture)
            counts = self._alive(tokens).sum(dim=1)
            self._going_on = [(counts > 0)[:, None]]
            counts = counts.clamp(min=1)
            for (layer, site), neurons in self._neurons.items():
                sums = capture.sums[site][:, layer, neurons.to(counts.device)]
                self._means[layer, site] = (sums / counts[:, None])[:, None]
        elif self._kind == "token":
            with self._recording(len(ids)):
                tokens = decode_greedily(self._model, ids, mask, pad, self._n_tokens)
            # The first pass reads the prompt; each later pass reads the token chosen before it.
            alive = self._alive(tokens)
            self._going_on = [torch.ones_like(alive[:, :1]), *torch.split(alive[:, :-1], 1, dim=1)]
        else:
            self._reader = Decoder(self._model, ids, mask, self._n_tokens)
            self._going_on = [ids.new_ones((len(ids), 1), dtype=torch.bool)] * self._n_tokens
            with self._recording(len(ids)):
                self._reader.read_prompts()

    def see_text(self, input_ids: Tensor) -> None:
        """Read a batch of texts with the second model, and store its activations."""
        self._forget()
        ids = input_ids.to(self._model.device)
        with self._recording(len(ids)), torch.inference_mode():
            self._model.base_model(input_ids=ids, use_cache=False)
        if self._kind == "prompt":
            recorded = self._passes.pop()
            self._means = {place: _running_mean(recorded.pop(place)) for place in self._neurons}
        self._going_on = [ids.new_ones((len(ids), 1), dtype=torch.bool)]

    def see_answers(
        self, input_ids: Tensor, attention_mask: Tensor, answers: Tensor, pad: int
    ) -> None:
        """See prompts with given answers, (batch, n), of which one pass reads all but the last.

        Each token is assigned what it is assigned in generation.
        """
        if self._kind == "same_text":
            self._forget()
            device = self._model.device
            with self._recording(len(answers)):
                read_answers(
                    self._model, input_ids.to(device), attention_mask.to(device), answers.to(device)
                )
            self._going_on = [answers.new_ones((len(answers), 1), dtype=torch.bool)]
            return
        self.see_prompts(input_ids, attention_mask, pad)
        if self._kind == "token":
            self._join_passes(input_ids.shape[1], answers.shape[1])

    def _join_passes(self, n_prompt: int, n_answer: int) -> None:
        """Make one pass of the prompts' and those of their continuations, (batch, positions, n)."""
        prompts, *later = self._going_on
        missing = n_answer - len(self._passes)
        self._going_on = [
            functional.pad(torch.cat([prompts.expand(-1, n_prompt), *later], dim=1), (0, missing))
        ]
        self._passes = [
            {
                place: functional.pad(
                    torch.cat([recorded[place] for recorded in self._passes], dim=1),
                    (0, 0, 0, missing),
                )
                for place in self._neurons
            }
        ]

    def begin_batch(self, batch_size: int) -> None:
        """Do nothing: `see_prompts` has prepared the batch."""

    def see_tokens(self, tokens: Tensor) -> None:
        """Go on to the next pass; on the same text, the second model reads these tokens first."""
        self._step += 1
        if self._reader is not None and self._step < self._n_tokens:
            self._passes[-1].clear()  # the first model is past it
            self._reader.append(tokens[:, None].to(self._model.device))
            with self._recording(len(tokens)):
                self._reader.read_newest()

    def assign(self, layer: int, site: Site, activations: Tensor, where: slice) -> Tensor:
        """Move a site's activations, (batch, positions, width), towards the second model's.

        Activations of a layer and site that the plan does not move stay as they are.
        """
        place = layer, site
        if place not in self._neurons:
            return activations
        neurons = self._neurons[place].to(activations.device)
        if self._kind == "prompt":
            given, going_on = self._means[place], self._going_on[0]
        elif self._step < len(self._passes):
            given, going_on = self._passes[self._step][place], self._going_on[self._step]
        else:
            return activations
        going_on = going_on[:, where, None].to(activations.device)
        given = given[:, where].to(activations)
        own, changed = activations[:, :, neurons], activations.clone()
        # Exactly the second model's activation for a dose of 1.
        moved = torch.lerp(own, given.expand_as(own), self._doses[place].to(own))
        changed[:, :, neurons] = torch.where(going_on, moved, own)
        return changed

    def _forget(self) -> None:
        self._means, self._passes, self._going_on, self._step = {}, [], [], 0
        self._reader = None

    def _alive(self, tokens: Tensor) -> Tensor:
        """Return whether no end-of-sequence token came up to each token: (batch, n)."""
        ends = torch.tensor(end_tokens(self._model), dtype=tokens.dtype, device=tokens.device)
        return torch.isin(tokens, ends).logical_not().cumprod(dim=1).bool()

    @contextmanager
    def _recording(self, rows: int) -> Iterator[None]:
        layers = Layers.of(self._model)
        # In a block, attention comes before the MLP, as attn_z before mlp_post.
        first = min(self._neurons)

        def read(place: _Place, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if place == first:
                self._passes.append({})
            neurons = self._neurons[place].to(inputs[0].device)
            self._passes[-1][place] = view_by_prompt(inputs[0], rows)[:, :, neurons].clone()

        hooks = [
            layers.readers(site)[layer].register_forward_pre_hook(partial(read, (layer, site)))
            for layer, site in self._neurons
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
