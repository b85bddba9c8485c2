"""Activations read during generation, compared with one unpadded pass per prompt."""

from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
import torch
from support.by_hand import continue_alone, hooks_left, mlp_of, output_by_algebra, sums_alone
from support.tiny_models import PROMPTS

from dpo_neurons.activations.capture import POSITIONS, ActivationCapture
from dpo_neurons.activations.stream_hooks import hook_stream
from dpo_neurons.interventions.hooks import apply_plan
from dpo_neurons.models import decoding
from dpo_neurons.models.architectures import Layers
from dpo_neurons.models.decoding import end_tokens
from dpo_neurons.models.generation import generate_greedily
from dpo_neurons.models.loading import load_model

pytestmark = pytest.mark.every_architecture

N_TOKENS = 6


def captured(model, tokenizer, positions, batch_size, prompts=PROMPTS):
    """Tokens, mask, activation sums and output sums, all with prompts on the first axis."""
    parts = []
    with ActivationCapture(model, positions) as capture:
        for batch in generate_greedily(model, tokenizer, prompts, N_TOKENS, batch_size, capture):
            sums = capture.sums["mlp_post"], capture.sums["mlp_out"]
            parts.append((batch.tokens, batch.mask, *(s.numpy() for s in sums)))
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def assert_as_recomputed(model, tokenizer):
    ends = set(end_tokens(model))
    alone = [continue_alone(model, tokenizer, prompt, N_TOKENS) for prompt in PROMPTS]
    for positions, batch_size in product(POSITIONS, (1, 2, 16)):
        tokens, mask, sums, outputs = captured(model, tokenizer, positions, batch_size)
        for row, (ids, written) in enumerate(alone):
            counted = written[:-1] if written[-1] in ends else written
            its_sums, its_outputs = sums_alone(model, ids, counted, positions)
            n = max(len(counted), 1)
            assert tokens[row, mask[row]].tolist() == counted
            np.testing.assert_allclose(sums[row] / n, its_sums / n, atol=1e-5)
            np.testing.assert_allclose(outputs[row] / n, its_outputs / n, atol=2e-5)


def streams_alone(model, ids, counted):
    """Residual stream after each block, (n_layers, counted, d_model); the last one normed."""
    with torch.no_grad():
        read = model(input_ids=torch.tensor([ids]), use_cache=False, output_hidden_states=True)
    return np.stack([states[0, counted].numpy() for states in read.hidden_states[1:]])


def final_norm(model):
    """The norm between the last block and the unembedding."""
    inner = getattr(model.base_model, "decoder", model.base_model)
    names = ("ln_f", "norm", "final_layernorm", "final_layer_norm")
    return next(getattr(inner, name) for name in names if hasattr(inner, name))


@pytest.mark.parametrize("positions", POSITIONS)
def test_the_residual_stream_is_that_after_each_block(
    checkpoints, architecture, tokenizer, positions
):
    # A separate model, because output_hidden_states leaves hooks in it.
    model = load_model(checkpoints[architecture, "pre"], "float32", "cpu")
    for n_tokens, batch_size in ((1, 16), (4, 2)):
        with ActivationCapture(model, positions) as capture:
            batches = generate_greedily(model, tokenizer, PROMPTS, n_tokens, batch_size, capture)
            found = [(batch.mask, capture.sums["resid_post"].numpy()) for batch in batches]
        counts = np.concatenate([mask for mask, _ in found]).sum(axis=1)
        sums = np.concatenate([each for _, each in found])
        assert counts.max() == n_tokens
        for row, prompt in enumerate(PROMPTS):
            ids, written = continue_alone(model, tokenizer, prompt, n_tokens)
            ids, n = ids + written[: counts[row]], counts[row]
            stop = len(ids) - (positions == "predicting")
            streams = streams_alone(model, ids, slice(stop - n, stop))
            np.testing.assert_allclose(sums[row, :-1], streams[:-1].sum(axis=1), atol=5e-5)
            if counts[row] == 1:
                last = final_norm(model)(torch.tensor(sums[row, -1])).detach().numpy()
                np.testing.assert_allclose(last, streams[-1, 0], atol=5e-5)


def test_blocks_that_return_a_tuple_are_read_too(gpt2, tokenizer):
    def sums():
        with ActivationCapture(gpt2, "generated") as capture:
            list(generate_greedily(gpt2, tokenizer, PROMPTS[:1], 3, 16, capture))
        return capture.sums["resid_post"]

    plain, block = sums(), gpt2.transformer.h[-1]
    makes_tuple = block.register_forward_hook(lambda _, x, y: (y, "cache"))
    reads_tuple = gpt2.transformer.ln_f.register_forward_pre_hook(lambda _, x: x[0][:1])
    try:
        torch.testing.assert_close(sums(), plain, rtol=0, atol=0)
    finally:
        makes_tuple.remove()
        reads_tuple.remove()


@pytest.fixture
def ending(model, tokenizer, monkeypatch):
    """A model that ends one prompt's text in the middle, and another's at once."""
    written = [continue_alone(model, tokenizer, text, N_TOKENS)[1] for text in PROMPTS]
    ends = next(
        [late, other[0]]
        for text, other in permutations(written, 2)
        for late in text[2:]
        if not {late, other[0]} & set(text[:2])
    )
    monkeypatch.setattr(model.generation_config, "eos_token_id", ends)
    return model


def test_sums_are_those_of_each_prompt_alone_without_padding(model, tokenizer):
    assert_as_recomputed(model, tokenizer)


def test_what_follows_the_end_is_left_out(ending, tokenizer):
    lengths = captured(ending, tokenizer, "generated", 16)[1].sum(axis=1)
    assert ((lengths > 0) & (lengths < N_TOKENS)).any()
    assert (lengths == 0).any()
    assert_as_recomputed(ending, tokenizer)


@pytest.mark.parametrize("positions", POSITIONS)
def test_positions_generated_and_predicting_are_one_token_apart(gpt2, tokenizer, positions):
    other = POSITIONS[1 - POSITIONS.index(positions)]
    here = captured(gpt2, tokenizer, positions, 16)[2]
    there = captured(gpt2, tokenizer, other, 16)[2]
    assert np.abs(here - there).max() > 0.1


def test_activations_under_an_intervention_are_the_patched_ones(model, tokenizer):
    plan = pd.DataFrame(
        [(0, 4, "set", 0.25), (1, 7, "set", -1.5)],
        columns=["layer", "neuron", "operation", "value"],
    )
    free = captured(model, tokenizer, "generated", 16)
    with apply_plan(model, plan, "last"):
        _, mask, sums, outputs = captured(model, tokenizer, "generated", 16)
    counts = mask.sum(axis=1)
    assert counts.max() > 0
    np.testing.assert_allclose(sums[:, 0, 4], 0.25 * counts, rtol=1e-6)
    np.testing.assert_allclose(sums[:, 1, 7], -1.5 * counts, rtol=1e-6)
    assert np.abs(sums[:, 1, 8] - free[2][:, 1, 8]).max() > 1e-3
    # The outputs are those of the patched activations.
    means = torch.tensor(sums[:, 0] / np.maximum(counts, 1)[:, None])
    by_hand = output_by_algebra(mlp_of(model, 0), means.float()).numpy() * counts[:, None]
    np.testing.assert_allclose(outputs[:, 0], by_hand, atol=1e-4)


def test_hooks_are_gone_after_the_block_even_if_it_fails(model, tokenizer):
    capture = ActivationCapture(model, "generated")
    with capture:
        assert hooks_left(model) >= 3 * model.config.num_hidden_layers
    assert hooks_left(model) == 0
    with pytest.raises(KeyError), capture:
        raise KeyError
    assert hooks_left(model) == 0


@pytest.mark.parametrize("positions", POSITIONS)
def test_tokens_are_the_same_with_and_without_a_capture(ending, tokenizer, positions):
    tokens, mask, *_ = captured(ending, tokenizer, positions, 2)
    plain = list(generate_greedily(ending, tokenizer, PROMPTS, N_TOKENS, 2))
    assert tokens.shape == (len(PROMPTS), N_TOKENS)
    np.testing.assert_array_equal(mask, np.concatenate([batch.mask for batch in plain]))
    np.testing.assert_array_equal(
        tokens[mask], np.concatenate([batch.tokens for batch in plain])[mask]
    )


@pytest.mark.parametrize("positions", POSITIONS)
def test_sums_are_the_same_however_often_decoding_looks_for_the_end(
    ending, tokenizer, positions, monkeypatch
):
    expected = captured(ending, tokenizer, positions, 1)
    monkeypatch.setitem(decoding.TOKENS_BETWEEN_LOOKS, "cpu", 4)
    for seldom, often in zip(captured(ending, tokenizer, positions, 1), expected, strict=True):
        np.testing.assert_array_equal(seldom, often)


def test_the_pass_that_reads_the_last_token_predicts_nothing(model, tokenizer):
    predicted = []
    hook = model.register_forward_hook(
        lambda module, inputs, output: predicted.append(output.logits.shape[1])
    )
    try:
        captured(model, tokenizer, "generated", 16)
    finally:
        hook.remove()
    assert predicted == [1] * N_TOKENS + [0]


def test_quantities_are_equal_where_no_norm_comes_between_them(model, tokenizer):
    prompts = tokenizer(PROMPTS[0], return_tensors="pt")
    with ActivationCapture(model, "predicting") as capture:
        capture.begin_batch(1)
        with torch.no_grad():
            model(**prompts)
        capture.see_tokens(torch.tensor([5]))
    read = {}
    hooks = list(
        hook_stream(
            Layers.of(model),
            lambda states: states.view(1, -1, states.shape[-1])[:, -1],
            lambda name, layer, states: read.setdefault(name, []).append(states),
        )
    )
    try:
        with torch.no_grad():
            model(**prompts)
    finally:
        for hook in hooks:
            hook.remove()
    assert set(capture.sums) == set(read)
    for name, layers in read.items():
        assert torch.equal(capture.sums[name], torch.stack(layers, dim=1)), name


def test_unknown_positions_are_an_error(gpt2):
    with pytest.raises(ValueError, match="positions must be one of"):
        ActivationCapture(gpt2, "everywhere")
