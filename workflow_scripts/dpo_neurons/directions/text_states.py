"""The residual stream where a model reads texts: a mean over each text, or its last token."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import Layers
from dpo_neurons.models.text_reading import read_texts


def read_resid_post(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    batch_size: int,
    layers: Sequence[int] = (-1,),
    position: Literal["mean", "last"] = "mean",
    starts: Sequence[int] | None = None,
    max_tokens: int | None = None,
) -> np.ndarray:
    """Read the residual stream after some blocks, for each text: (n, len(layers), d_model) float64.

    position: the mean over the text's tokens, or its last token. starts: for each text, how many of
    its first tokens do not count; none by default. max_tokens: of each text, the first ones; by
    default all that the model reads. Padding is left out. The stream is read before the final norm,
    because value vectors write there.
    Raises InputError for a text with a token that the model lacks.
    """
    block_outputs: dict[int, torch.Tensor] = {}

    def read_output(
        layer: int,
        module: torch.nn.Module,
        inputs: object,
        output: Any,  # noqa: ANN401
    ) -> None:
        block_outputs[layer] = output[0] if isinstance(output, tuple) else output

    def summarise(mask: torch.Tensor) -> np.ndarray:
        states = []
        for layer in layers:
            resid_post = block_outputs.pop(layer).float()
            here = mask.to(resid_post.device)
            if position == "mean":
                counted = here[..., None]
                state = (resid_post * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1)
            else:
                places = torch.arange(here.shape[1], device=here.device)
                last = (here * places).argmax(dim=1)
                state = resid_post[torch.arange(len(last), device=last.device), last]
            states.append(state.cpu().numpy())
        return np.stack(states, axis=1)

    blocks = Layers.of(model).blocks
    hooks = [blocks[layer].register_forward_hook(partial(read_output, layer)) for layer in layers]
    try:
        states = read_texts(model, tokenizer, texts, batch_size, summarise, starts, max_tokens)
        return states.astype(np.float64)
    finally:
        for hook in hooks:
            hook.remove()


def list_layers(layer: str, n_layers: int, entry: str = "directions.…") -> list[int]:
    """List the layers to read: the last, one by number, or all to choose the best from.

    entry: how an error names the entry of the configuration whose key `layer` it is.
    Raises InputError for a layer that the model does not have.
    """
    if layer == "best":
        return list(range(n_layers))
    number = n_layers - 1 if layer == "last" else int(layer)
    if number >= n_layers:
        raise InputError(
            f"{entry}.layer: {number}, but the model has layers 0 to {n_layers - 1}; give one "
            "of these, last or best"
        )
    return [number]
