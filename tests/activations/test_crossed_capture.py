"""Activations of a second model on a first one's inputs, compared with passes by hand."""

import numpy as np
import pytest
import torch
from support.by_hand import (
    continue_alone,
    forward,
    hooks_left,
    mlp_of,
    neurons_by_algebra,
    same_state,
    state_of,
)
from support.tiny_models import PROMPTS

from dpo_neurons.activations.capture import POSITIONS
from dpo_neurons.activations.crossed_capture import CrossedCapture
from dpo_neurons.errors import InputError
from dpo_neurons.models.decoding import end_tokens
from dpo_neurons.models.generation import generate_greedily
from dpo_neurons.models.loading import load_model

N_TOKENS = 4


def captured(model, other, tokenizer, positions, batch_size):
    """Counts, crossed sums and sums on the same text; the first axis is prompts."""
    parts = []
    with CrossedCapture(model, other, positions) as capture:
        for batch in generate_greedily(model, tokenizer, PROMPTS, N_TOKENS, batch_size, capture):
            sums = capture.sums["mlp_post_crossed"], capture.sums["mlp_post_same_text"]
            parts.append((batch.mask.sum(axis=1), *(s.numpy() for s in sums)))
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def by_hand(model, other, tokenizer, positions):
    """The same three results, from unpadded passes and the MLPs' algebra."""
    ends = set(end_tokens(model))
    parts = []
    for prompt in PROMPTS:
        ids, written = continue_alone(model, tokenizer, prompt, N_TOKENS)
        written = written[:-1] if written[-1] in ends else written
        start = len(ids) - (positions == "predicting")
        counted = slice(start, start + len(written))
        read, own = forward(model, [ids + written]), forward(other, [ids + written])
        crossed = [
            neurons_by_algebra(mlp_of(other, layer), states[0, counted]).detach().sum(dim=0)
            for layer, states in enumerate(read["inputs"])
        ]
        on_text = [states[0, counted].sum(dim=0) for states in own["neurons"]]
        parts.append((len(written), *(torch.stack(one).numpy() for one in (crossed, on_text))))
    return [np.stack(part) for part in zip(*parts, strict=True)]


def test_neurons_do_what_their_own_weights_make_of_the_other_models_inputs(
    loaded, architecture, tokenizer
):
    pre, post = loaded(architecture), loaded(architecture, "other")
    for positions, batch_size in zip(POSITIONS, (2, 16), strict=True):
        crossed = captured(pre, post, tokenizer, positions, batch_size)
        expected = by_hand(pre, post, tokenizer, positions)
        np.testing.assert_array_equal(crossed[0], expected[0])
        for ours, theirs in zip(crossed[1:], expected[1:], strict=True):
            assert np.abs(theirs).max() > 0.1
            np.testing.assert_allclose(ours, theirs, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("architecture", ["gpt2", "opt", "gemma2"])
def test_what_follows_the_end_is_left_out(loaded, architecture, tokenizer, monkeypatch):
    pre, post = loaded(architecture), loaded(architecture, "other")
    written = continue_alone(pre, tokenizer, PROMPTS[0], N_TOKENS)[1]
    monkeypatch.setattr(pre.generation_config, "eos_token_id", [written[-1]])
    found = captured(pre, post, tokenizer, "generated", 16)
    assert found[0].min() < N_TOKENS
    for mine, its in zip(found, by_hand(pre, post, tokenizer, "generated"), strict=True):
        np.testing.assert_allclose(mine, its, atol=2e-4, rtol=1e-4)


def test_two_equal_models_have_the_first_ones_activations(
    loaded, checkpoints, architecture, tokenizer
):
    pre, same = loaded(architecture), load_model(checkpoints[architecture, "pre"], "float32", "cpu")
    _, crossed, on_text = captured(pre, same, tokenizer, "generated", 2)
    np.testing.assert_allclose(crossed, on_text, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("architecture", ["gpt2", "opt", "gemma2"])
def test_both_models_and_the_generation_are_left_as_they_are(loaded, architecture, tokenizer):
    pre, post = loaded(architecture), loaded(architecture, "other")
    before = state_of(pre), state_of(post)
    plain = list(generate_greedily(pre, tokenizer, PROMPTS, N_TOKENS, 2))
    with CrossedCapture(pre, post, "generated") as capture:
        crossed = list(generate_greedily(pre, tokenizer, PROMPTS, N_TOKENS, 2, capture))
    for one, other in zip(plain, crossed, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
    assert hooks_left(pre) == hooks_left(post) == 0
    assert same_state(pre, before[0])
    assert same_state(post, before[1])


def test_hooks_are_gone_even_if_the_block_or_the_reading_fails(loaded, tokenizer, monkeypatch):
    pre, post = loaded("gpt2"), loaded("gpt2", "other")
    capture = CrossedCapture(pre, post, "generated")
    with capture:
        (batch,) = generate_greedily(pre, tokenizer, PROMPTS, N_TOKENS, 16, capture)
        hooks = hooks_left(post)
        # Only the second pass, over the text, goes through the other model's forward.
        monkeypatch.setattr(type(post.base_model), "forward", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            capture.end_batch(batch.tokens, batch.mask)
        assert hooks_left(post) == hooks
        monkeypatch.undo()
    assert hooks_left(pre) == hooks_left(post) == 0
    with pytest.raises(KeyError), capture:
        raise KeyError
    assert hooks_left(pre) == hooks_left(post) == 0


@pytest.mark.parametrize("architecture", ["gpt2", "opt"])
def test_checkpoints_of_two_architectures_are_refused(loaded, architecture):
    with pytest.raises(InputError, match=r"differ in architecture.*models\.….post"):
        CrossedCapture(loaded("llama"), loaded(architecture), "generated")
