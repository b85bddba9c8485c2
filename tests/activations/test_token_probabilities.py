"""Probabilities of tokens through the depth, compared with streams put together by hand."""

import numpy as np
import pytest
import torch
from support.by_hand import forward, heads_by_algebra, hooks_left, output_projection_of, stack
from support.tiny_models import PROMPTS

from dpo_neurons.activations.token_probabilities import (
    COLUMNS,
    find_tokens,
    tabulate_probabilities,
    trace_token_probabilities,
)
from dpo_neurons.errors import InputError

TOKENS = [5, 9, 14]


def final_norm_of(model):
    """The norm before the unembedding, found by its own name."""
    inner = getattr(model.base_model, "decoder", model.base_model)
    names = ("ln_f", "norm", "final_layernorm", "final_layer_norm")
    return next(getattr(inner, name) for name in names if hasattr(inner, name))


def by_hand(model, ids):
    """Probabilities after each half layer of one prompt, (n_layers, 2)."""
    before = []
    hooks = [
        block.register_forward_pre_hook(lambda _, x: before.append(x[0][0, -1]))
        for block in stack(model)
    ]
    seen = forward(model, [ids])
    for hook in hooks:
        hook.remove()
    cap = getattr(model.config, "final_logit_softcapping", None)
    probabilities = []
    for layer, stream in enumerate(before):
        written = heads_by_algebra(model, layer, seen["z"][layer][0, -1]).sum(dim=0)
        bias = output_projection_of(model, layer).bias
        middle = stream + written + (0 if bias is None else bias)
        after = before[layer + 1] if layer + 1 < len(before) else None
        for half in (middle, after):
            if half is None:  # the model's own prediction
                logits = seen["logits"][0, -1]
            else:
                logits = model.lm_head(final_norm_of(model)(half))
                logits = logits if cap is None else cap * torch.tanh(logits / cap)
            probabilities.append(float(logits.softmax(dim=-1)[TOKENS].sum()))
    return np.reshape(probabilities, (-1, 2))


@pytest.mark.every_architecture
@torch.no_grad()
def test_the_stream_after_each_half_layer_predicts_as_by_hand(model, tokenizer):
    traced = trace_token_probabilities(model, tokenizer, PROMPTS, TOKENS, batch_size=2)
    for row, prompt in enumerate(PROMPTS):
        wanted = by_hand(model, tokenizer(prompt)["input_ids"])
        np.testing.assert_allclose(traced[row], wanted, rtol=2e-4, atol=1e-7)
    assert hooks_left(model) == 0
    assert np.ptp(traced) > 1e-3


def test_words_must_be_one_token(tokenizer):
    known = tokenizer.convert_ids_to_tokens(7)
    assert find_tokens(tokenizer, [known]) == [7]
    with pytest.raises(InputError, match=r"token_probabilities\.words: .* one token"):
        find_tokens(tokenizer, [known, f"{known} {known}"])


def test_words_of_the_same_token_would_count_twice(tokenizer):
    word = tokenizer.convert_ids_to_tokens(7)
    with pytest.raises(InputError, match="are the same token, which would count twice"):
        find_tokens(tokenizer, [word, f" {word}"])


def test_the_table_averages_prompts_with_their_interval():
    traced = np.random.default_rng(0).uniform(size=(40, 2, 2))
    table = tabulate_probabilities({"pre": traced, "post": traced / 2}, 200, 0.95, 1)
    assert tuple(table.columns) == COLUMNS
    assert table["after"].tolist() == ["attention", "mlp"] * 4
    row = table[(table["stage"] == "post") & (table["layer"] == 1) & (table["after"] == "mlp")]
    assert row["probability"].item() == pytest.approx(traced[:, 1, 1].mean() / 2)
    assert (table["probability_low"] < table["probability"]).all()
    assert (table["probability"] < table["probability_high"]).all()
