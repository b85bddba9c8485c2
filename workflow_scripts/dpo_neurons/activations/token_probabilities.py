"""How probable given tokens become through the depth of a model, read by the logit lens.

After Lee et al. 2024 (arXiv 2401.01967), who follow one token through the depth before and after
DPO. After each half layer, the residual stream at a prompt's last token goes through the model's
final norm and unembedding, as if the model ended there.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import Layers
from dpo_neurons.models.decoding import widen
from dpo_neurons.models.text_reading import read_texts
from dpo_neurons.models.tokenization import barred_tokens
from dpo_neurons.statistics.bootstrap import mean_intervals

HALVES = ("attention", "mlp")
"""The stream is read after a layer's attention, and after its MLP. Where both read the same stream
(Phi, GPT-NeoX), the first is the stream with what attention writes alone."""
COLUMNS = ("stage", "layer", "after", "probability", "probability_low", "probability_high")


def find_tokens(tokenizer: PreTrainedTokenizerBase, words: Sequence[str]) -> list[int]:
    """Find the token of each word, exactly as written.

    Raises InputError for a word that is not one token, and for two words that are the same token.
    """
    ids = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    for word, of_word in zip(words, ids, strict=True):
        if len(of_word) != 1 or of_word[0] == tokenizer.unk_token_id:
            raise InputError(
                f"token_probabilities.words: {word!r} is {len(of_word)} tokens or unknown to the "
                "tokenizer, and one token is followed; give words of one token (a space before a "
                "word counts)"
            )
    words_of: dict[int, str] = {}
    for word, (token,) in zip(words, ids, strict=True):
        if token in words_of:
            raise InputError(
                f"token_probabilities.words: {words_of[token]!r} and {word!r} are the same token, "
                "which would count twice; remove one of them"
            )
        words_of[token] = word
    return list(words_of)


def trace_token_probabilities(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    tokens: Sequence[int],
    batch_size: int,
) -> np.ndarray:
    """Trace the summed probability of tokens to come next: (n_prompts, n_layers, 2) float64.

    The last axis is HALVES. After the last layer's MLP it is the model's own prediction.
    Raises InputError for a prompt with a token that the model lacks.
    """
    layers = Layers.of(model)
    before: dict[int, Tensor] = {}
    streams: dict[tuple[int, int], Tensor] = {}

    def hooks_of(layer: int) -> list[RemovableHandle]:
        def see_before(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            before[layer] = inputs[0]

        def see_attention(module: nn.Module, inputs: object, output: Tensor) -> None:
            # The first layer on a GPU is given what lies on the GPU before.
            streams[layer, 0] = before.pop(layer).to(output.device) + output

        def see_after(module: nn.Module, inputs: object, output: Tensor | tuple[Tensor]) -> None:
            streams[layer, 1] = output if isinstance(output, Tensor) else output[0]

        norms, block = layers.norms_after_attention, layers.blocks[layer]
        attention = norms[layer] if norms else layers.output_projections[layer]
        return [
            block.register_forward_pre_hook(see_before),
            attention.register_forward_hook(see_attention),
            block.register_forward_hook(see_after),
        ]

    def summarise(mask: Tensor) -> np.ndarray:
        # On the CPU, since the layers may lie on several GPUs.
        last = mask.sum(dim=1).cpu() - 1
        rows = torch.arange(len(last))
        read = [
            _sum_probabilities(model, layers, streams.pop((layer, half))[rows, last], tokens)
            for layer in range(len(layers.blocks))
            for half in range(len(HALVES))
        ]
        return torch.stack(read, dim=1).view(len(last), -1, len(HALVES)).cpu().numpy()

    hooks = [hook for layer in range(len(layers.blocks)) for hook in hooks_of(layer)]
    try:
        return read_texts(model, tokenizer, prompts, batch_size, summarise).astype(np.float64)
    finally:
        for hook in hooks:
            hook.remove()


def _sum_probabilities(
    model: PreTrainedModel, layers: Layers, stream: Tensor, tokens: Sequence[int]
) -> Tensor:
    """Sum the probabilities that streams, (batch, d_model), give to tokens: (batch,)."""
    norm = model.get_submodule(layers.architecture.final_norm)
    unembedding: nn.Module = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    logits = widen(unembedding(norm(stream)))
    cap = getattr(model.config, "final_logit_softcapping", None)
    if cap is not None:
        logits = cap * torch.tanh(logits / cap)
    if barred := barred_tokens(model):
        logits[:, barred] = -torch.inf
    return logits.softmax(dim=-1)[:, list(tokens)].sum(dim=-1).double()


def tabulate_probabilities(
    by_stage: dict[str, np.ndarray], resamples: int, level: float, seed: int
) -> pd.DataFrame:
    """Average over prompts, with intervals: the COLUMNS, one row per stage, layer and half.

    by_stage: what `trace_token_probabilities` returned, by the checkpoint's stage.
    """
    parts = []
    for stage, traced in by_stage.items():
        _, n_layers, n_halves = traced.shape
        mean, low, high = mean_intervals(traced.reshape(len(traced), -1), resamples, level, seed)
        parts.append(
            pd.DataFrame(
                {
                    "stage": stage,
                    "layer": np.repeat(np.arange(n_layers), n_halves),
                    "after": [*HALVES] * n_layers,
                    "probability": mean,
                    "probability_low": low,
                    "probability_high": high,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]
