"""Perplexity window by window, compared with log-probabilities by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
from support.by_hand import forward
from tokenizers.processors import TemplateProcessing

from dpo_neurons.errors import BrokenModelError, InputError
from dpo_neurons.interventions.hooks import apply_plan
from dpo_neurons.models import batches
from dpo_neurons.models.architectures import Layers
from dpo_neurons.models.perplexity import Perplexity, measure_perplexity

random = np.random.default_rng(4)
TEXTS = [" ".join(f"w{n}" for n in random.integers(37, size=size)) for size in (9, 4, 14)]
IDS = [3 + int(word[1:]) for word in " ".join(TEXTS).split()]


def losses_of(logits: torch.Tensor, window: list[int]) -> float:
    chances = torch.log_softmax(logits[0].double(), dim=-1)
    return -sum(float(chances[i, window[i + 1]]) for i in range(len(window) - 1))


def by_hand(model, size):
    """Losses and scored tokens of each window, one window at a time."""
    windows = [IDS[start : start + size] for start in range(0, len(IDS), size)]
    windows = [window for window in windows if len(window) > 1]
    losses = [losses_of(forward(model, [window])["logits"], window) for window in windows]
    return losses, [len(window) - 1 for window in windows]


@pytest.mark.parametrize("window", [5, 13, 27, 40])
def test_windows_and_their_remainder_by_hand(model, tokenizer, window):
    losses, tokens = by_hand(model, window)
    # The first token of a window is not scored, nor is a remainder of one token.
    assert sum(tokens) == len(IDS) - -(-len(IDS) // window)
    for batch_size in (1, 2, 16):
        measured = measure_perplexity(model, tokenizer, TEXTS, window, batch_size)
        np.testing.assert_allclose(measured.losses, losses, rtol=1e-4)
        assert measured.tokens.tolist() == tokens


@pytest.mark.parametrize("window", [4, 7, 28, 40])
def test_windows_begin_as_the_tokenizer_begins_texts(gpt2, tokenizer, window):
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<end> $A", special_tokens=[("<end>", tokenizer.bos_token_id)]
    )
    begin = tokenizer.bos_token_id
    assert tokenizer("w1")["input_ids"] == [begin, 4]
    windows = [[begin, *IDS[start : start + window - 1]] for start in range(0, 27, window - 1)]
    losses = [losses_of(forward(gpt2, [one])["logits"], one) for one in windows]
    measured = measure_perplexity(gpt2, tokenizer, TEXTS, window, 3)
    np.testing.assert_allclose(measured.losses, losses, rtol=1e-4)
    assert measured.tokens.sum() == len(IDS)  # every token of the text is scored


def test_the_perplexity_is_over_scored_tokens_alone():
    measured = Perplexity(np.array([3.0, 6.0, 1.0]), np.array([2, 2, 1]))
    assert measured.log_perplexity == 2.0
    assert measured.perplexity == pytest.approx(np.exp(2.0))


def test_a_model_that_knows_nothing_is_as_perplexed_as_its_vocabulary_is_large(
    gpt2, tokenizer, monkeypatch
):
    monkeypatch.setattr(
        gpt2,
        "forward",
        lambda input_ids, use_cache: type("Out", (), {"logits": torch.zeros(*input_ids.shape, 40)}),
    )
    assert measure_perplexity(gpt2, tokenizer, TEXTS, 6, 4).perplexity == pytest.approx(40)


@pytest.mark.parametrize("positions", ["all", "first"])
def test_an_intervention_acts_where_it_is_said_to(model, tokenizer, positions):
    plan = pd.DataFrame(
        [(0, 4, "set", 3.0), (1, 9, "set", -2.0)], columns=["layer", "neuron", "operation", "value"]
    )
    where = slice(None) if positions == "all" else slice(0, 1)
    with apply_plan(model, plan, positions):
        measured = measure_perplexity(model, tokenizer, TEXTS, 9, 2)
    free = by_hand(model, 9)[0]

    def setter(neuron, value):
        def hook(module, inputs):
            inputs[0].view(1, -1, inputs[0].shape[-1])[:, where, neuron] = value

        return hook

    downs = Layers.of(model).down_projections
    hooks = [
        downs[layer].register_forward_pre_hook(setter(neuron, value))
        for layer, neuron, _, value in plan.itertuples(index=False)
    ]
    try:
        expected = by_hand(model, 9)[0]
    finally:
        for hook in hooks:
            hook.remove()
    np.testing.assert_allclose(measured.losses, expected, rtol=1e-4)
    assert np.abs(measured.losses - free).max() > 1e-3


def test_positions_all_and_first_differ(model, tokenizer):
    plan = pd.DataFrame([(0, 4, "set", 3.0)], columns=["layer", "neuron", "operation", "value"])
    losses = []
    for positions in ("all", "first"):
        with apply_plan(model, plan, positions):
            losses.append(measure_perplexity(model, tokenizer, TEXTS, 9, 2).losses)
    assert np.abs(losses[0] - losses[1]).max() > 1e-3


def test_a_window_longer_than_the_model_reads_is_refused(model, tokenizer):
    with pytest.raises(InputError, match=r"perplexity\.window: 49 tokens, .* at most 48; lower it"):
        measure_perplexity(model, tokenizer, TEXTS, 49, 2)
    assert len(measure_perplexity(model, tokenizer, TEXTS * 3, 48, 2).losses) == 2


def test_a_text_too_short_to_score_is_refused(gpt2, tokenizer):
    with pytest.raises(InputError, match="perplexity_text: shorter than two tokens"):
        measure_perplexity(gpt2, tokenizer, ["w1"], 8, 2)


@pytest.mark.parametrize(("window", "most"), [(8, 4), (9, 3), (32, 1), (40, 1)])
def test_long_windows_are_read_fewer_at_a_time(gpt2, tokenizer, monkeypatch, window, most):
    monkeypatch.setitem(batches.TOKENS_AT_ONCE, "cpu", 32)
    sizes = []
    hook = gpt2.register_forward_pre_hook(
        lambda module, inputs, named: sizes.append(len(named["input_ids"])), with_kwargs=True
    )
    try:
        measured = measure_perplexity(gpt2, tokenizer, TEXTS * 9, window, 16)
    finally:
        hook.remove()
    assert max(sizes) == most
    assert sum(sizes) == len(measured.losses)


def test_windows_share_no_copy_of_their_logits(gpt2, tokenizer, monkeypatch):
    rows = []
    plain = torch.nn.functional.cross_entropy

    def seen(logits, targets, **how):
        rows.append(tuple(logits.shape))
        return plain(logits, targets, **how)

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", seen)
    measure_perplexity(gpt2, tokenizer, TEXTS, 9, 16)
    assert rows == [(8, 40)] * 3


def test_a_loss_that_is_no_number_ends_the_measurement(loaded, tokenizer, monkeypatch):
    model = loaded("gpt2")
    bias = Layers.of(model).down_projections[1].bias
    with torch.no_grad():
        healthy = bias.clone()
        bias[3] = torch.nan
    try:
        with pytest.raises(BrokenModelError, match=r"loss of text window 0 is NaN .*set models"):
            measure_perplexity(model, tokenizer, TEXTS, 5, 4)
    finally:
        with torch.no_grad():
            bias.copy_(healthy)
