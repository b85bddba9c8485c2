"""Prompt-specific patching, compared with a second model read by hand, prompt by prompt."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from support.by_hand import continue_alone, forward, hooks_left, same_state, state_of
from support.tiny_models import PROMPTS

from dpo_neurons.interventions.hooks import apply_plan
from dpo_neurons.interventions.outputs import Intervention
from dpo_neurons.interventions.source_activations import SourceActivations
from dpo_neurons.interventions.windows import measure_on_windows
from dpo_neurons.models.architectures import Layers
from dpo_neurons.models.generation import generate_greedily
from dpo_neurons.models.perplexity import measure_perplexity, split_into_windows

N_TOKENS = 5
NEURONS = [(0, 2), (0, 7), (1, 3), (1, 11)]


def plan_of(operation, neurons=NEURONS, dose=1.0):
    rows = [(layer, neuron, operation, dose) for layer, neuron in neurons]
    return pd.DataFrame(rows, columns=["layer", "neuron", "operation", "value"])


def all_neurons(model, operation):
    layers = range(model.config.num_hidden_layers)
    width = forward(model, [[5]])["neurons"][0].shape[-1]
    return plan_of(operation, [(layer, neuron) for layer in layers for neuron in range(width)])


def patched_tokens(model, tokenizer, plan, own, batch_size):
    with apply_plan(model, plan, "last", source=own):
        batches = generate_greedily(model, tokenizer, PROMPTS, N_TOKENS, batch_size, own)
        return np.concatenate([batch.tokens for batch in batches])


def perplexity_under(model, tokenizer, plan, own, window):
    windows = split_into_windows(model, tokenizer, PROMPTS, window)
    row = Intervention("x", plan, "last", "all", source=own)
    (measured,), _ = measure_on_windows(model, {"none": model, "dpo": model}, [row], windows, 2, 0)
    return measured


def setter(values, positions):
    """A hook that sets some neurons of a layer at one position of one prompt."""

    def hook(module, inputs):
        states = inputs[0].view(1, -1, inputs[0].shape[-1])
        for neuron, value in values:
            states[:, positions, neuron] = value

    return hook


def patched_alone(model, prompt_ids, steps):
    """Greedy tokens with neurons set at the last position of each step, without a cache.

    steps: the values at the position that predicts each token; positions of earlier steps keep
    theirs.
    """

    written = []
    for step in range(N_TOKENS):
        hooks = []
        for past in range(step + 1):
            place = len(prompt_ids) - 1 + past
            for layer, values in steps[past].items():
                down = Layers.of(model).down_projections[layer]
                hooks.append(down.register_forward_pre_hook(setter(values, place)))
        try:
            logits = forward(model, [prompt_ids + written])["logits"]
        finally:
            for hook in hooks:
                hook.remove()
        written.append(int(logits[0, -1].argmax()))
    return written


def by_layer(values):
    return {layer: [(n, v) for (at, n), v in values.items() if at == layer] for layer in (0, 1)}


@pytest.fixture(params=["gpt2", "gemma2", "opt"])
def endless(loaded, request, monkeypatch):
    """Both checkpoints of some architectures, without an end-of-sequence token."""
    pair = loaded(request.param, "pre"), loaded(request.param, "post")
    for model in pair:
        monkeypatch.setattr(model.generation_config, "eos_token_id", None)
    return pair


@pytest.mark.parametrize("batch_size", [1, 16])
def test_each_token_gets_the_second_models_activation_there(endless, tokenizer, batch_size):
    model, other = endless
    plan = plan_of("set_token")
    own = SourceActivations(other, plan, N_TOKENS, "generated")
    patched = patched_tokens(model, tokenizer, plan, own, batch_size)
    for row, prompt in enumerate(PROMPTS):
        ids, its = continue_alone(other, tokenizer, prompt, N_TOKENS)
        seen = forward(other, [ids + its])["neurons"]

        first = len(ids) - 1
        steps = [
            by_layer({place: seen[place[0]][0, first + step, place[1]] for place in NEURONS})
            for step in range(N_TOKENS)
        ]
        assert patched[row].tolist() == patched_alone(model, ids, steps)


@pytest.mark.parametrize("batch_size", [1, 16])
@pytest.mark.parametrize(
    ("operation", "dose"),
    [("set_same_text", 1.0), ("set_same_text", 0.25), ("set_head_same_text", 0.5)],
)
def test_each_token_moves_towards_the_second_models_activation_on_the_same_text(
    endless, tokenizer, batch_size, operation, dose
):
    model, other = endless
    what, site = ("z", "attn_z") if "head" in operation else ("neurons", "mlp_post")
    plan = plan_of(operation, dose=dose)
    own = SourceActivations(other, plan, N_TOKENS, "generated")
    patched = patched_tokens(model, tokenizer, plan, own, batch_size)
    for row, prompt in enumerate(PROMPTS):
        ids = tokenizer(prompt)["input_ids"]
        written = []
        for _ in range(N_TOKENS):
            seen = forward(other, [ids + written])[what]
            hooks = []
            for layer, neuron in NEURONS:
                # From the last token of the prompt on, this neuron moves at every position.
                given = seen[layer][0, len(ids) - 1 :, neuron]
                reader = Layers.of(model).readers(site)[layer]
                mover = mover_to(neuron, len(ids) - 1, given, dose)
                hooks.append(reader.register_forward_pre_hook(mover))
            try:
                logits = forward(model, [ids + written])["logits"]
            finally:
                for hook in hooks:
                    hook.remove()
            written.append(int(logits[0, -1].argmax()))
        assert patched[row].tolist() == written


def mover_to(neuron, start, given, dose):
    """A hook that moves a neuron of one prompt part of the way to given activations."""

    def hook(module, inputs):
        states = inputs[0].view(1, -1, inputs[0].shape[-1])
        states[:, start:, neuron] += dose * (given - states[:, start:, neuron])

    return hook


def test_a_plan_takes_source_activations_of_one_kind(loaded):
    plan = pd.concat([plan_of("set_token"), plan_of("set_same_text", [(0, 9)])])
    with pytest.raises(ValueError, match="one kind of source activations"):
        SourceActivations(loaded("gpt2", "post"), plan, N_TOKENS, "generated")


@pytest.mark.parametrize("positions", ["generated", "predicting"])
def test_each_prompt_gets_the_second_models_mean(endless, tokenizer, positions):
    model, other = endless
    plan = plan_of("set_prompt_mean")
    own = SourceActivations(other, plan, N_TOKENS, positions)
    patched = patched_tokens(model, tokenizer, plan, own, 3)
    for row, prompt in enumerate(PROMPTS):
        ids, its = continue_alone(other, tokenizer, prompt, N_TOKENS)
        seen = forward(other, [ids + its])["neurons"]
        start = len(ids) - (positions == "predicting")
        means = {
            (layer, neuron): seen[layer][0, start : start + N_TOKENS, neuron].mean()
            for layer, neuron in NEURONS
        }
        assert patched[row].tolist() == patched_alone(model, ids, [by_layer(means)] * N_TOKENS)


@pytest.mark.parametrize("operation", ["set_token", "set_same_text"])
def test_all_neurons_of_the_model_itself_token_by_token_change_nothing(
    endless, tokenizer, operation
):
    model, _ = endless
    plan = all_neurons(model, operation)
    own = SourceActivations(copy.deepcopy(model), plan, N_TOKENS, "generated")
    free = np.concatenate(
        [one.tokens for one in generate_greedily(model, tokenizer, PROMPTS, N_TOKENS, 16)]
    )
    patched = patched_tokens(model, tokenizer, plan, own, 16)
    np.testing.assert_array_equal(patched, free)
    measured = perplexity_under(model, tokenizer, plan, own, 4)
    plain = measure_perplexity(model, tokenizer, PROMPTS, 4, 2)
    np.testing.assert_allclose(measured.losses, plain.losses, rtol=1e-5)


@pytest.mark.parametrize("operation", ["set_token", "set_prompt_mean"])
def test_perplexity_under_the_second_models_activations(endless, tokenizer, operation):
    model, other = endless
    plan = plan_of(operation)
    own = SourceActivations(other, plan, N_TOKENS, "generated")
    measured = perplexity_under(model, tokenizer, plan, own, 6)
    ids = tokenizer("\n\n".join(PROMPTS))["input_ids"]
    windows = [ids[start : start + 6] for start in range(0, len(ids), 6)]
    expected = []
    for window in windows:
        seen = forward(other, [window])["neurons"]
        hooks = []

        for layer, neuron in NEURONS:
            value = seen[layer][0, :, neuron]
            if operation == "set_prompt_mean":  # at each position over the tokens so far
                value = torch.stack([value[: end + 1].mean() for end in range(len(window))])
            down = Layers.of(model).down_projections[layer]
            hooks.append(down.register_forward_pre_hook(setter([(neuron, value)], slice(None))))
        logits = forward(model, [window])["logits"]
        for hook in hooks:
            hook.remove()
        chances = torch.log_softmax(logits[0].double(), dim=-1)
        expected.append(-sum(float(chances[i, window[i + 1]]) for i in range(len(window) - 1)))
    np.testing.assert_allclose(measured.losses, expected, rtol=1e-4)


def test_where_the_second_model_has_ended_the_first_goes_on_by_itself(
    loaded, tokenizer, monkeypatch
):
    model, other = loaded("gpt2", "pre"), loaded("gpt2", "post")
    monkeypatch.setattr(model.generation_config, "eos_token_id", None)
    _, its = continue_alone(other, tokenizer, PROMPTS[0], 1)
    monkeypatch.setattr(other.generation_config, "eos_token_id", its[0])
    plan = plan_of("set_token")
    own = SourceActivations(other, plan, N_TOKENS, "generated")
    with apply_plan(model, plan, "last", source=own):
        (batch,) = generate_greedily(model, tokenizer, PROMPTS[:1], N_TOKENS, 1, own)
    ids = tokenizer(PROMPTS[0])["input_ids"]
    seen = forward(other, [ids])["neurons"]

    # Only the first pass, on the prompt, has a counterpart.
    first = by_layer({place: seen[place[0]][0, -1, place[1]] for place in NEURONS})
    steps = [first, *[{}] * (N_TOKENS - 1)]
    assert batch.tokens[0].tolist() == patched_alone(model, ids, steps)


@pytest.mark.parametrize("operation", ["set_token", "set_prompt_mean"])
def test_a_second_model_that_writes_nothing_changes_nothing(loaded, tokenizer, operation):
    model, other = loaded("gpt2", "pre"), copy.deepcopy(loaded("gpt2", "post"))
    free = np.concatenate(
        [one.tokens for one in generate_greedily(model, tokenizer, PROMPTS, N_TOKENS, 16)]
    )
    # Its first token is declared an end-of-sequence token.
    other.generation_config.eos_token_id = list(range(len(tokenizer)))
    plan = plan_of(operation, [(layer, neuron) for layer in (0, 1) for neuron in range(20)])
    own = SourceActivations(other, plan, N_TOKENS, "generated")
    if operation == "set_prompt_mean":
        np.testing.assert_array_equal(patched_tokens(model, tokenizer, plan, own, 16), free)
    own.see_prompts(torch.tensor([[5, 6]]), torch.ones(1, 2, dtype=torch.long), 0)
    activations = torch.randn(1, 1, 40)
    own.see_tokens(torch.tensor([0]))  # past the pass over the prompt
    assert torch.equal(own.assign(0, "mlp_post", activations, slice(-1, None)), activations)


@pytest.mark.parametrize("operation", ["set_token", "set_prompt_mean", "set_same_text"])
def test_no_position_of_a_text_sees_a_later_one(loaded, operation):
    model, other = loaded("gpt2", "pre"), loaded("gpt2", "post")
    plan = plan_of(operation)
    own = SourceActivations(other, plan, N_TOKENS, "generated")
    read = []
    for last in (7, 9):
        ids = torch.tensor([[5, 6, 4, last]])
        own.see_text(ids)
        with apply_plan(model, plan, "all", source=own), torch.inference_mode():
            read.append(model(input_ids=ids).logits[0])
    assert torch.equal(read[0][:3], read[1][:3])
    assert not torch.equal(read[0][3], read[1][3])


def test_neither_model_is_changed(loaded, tokenizer):
    model, other = loaded("gpt2", "pre"), loaded("gpt2", "post")
    states = state_of(model), state_of(other)
    plan = plan_of("set_prompt_mean")
    patched_tokens(model, tokenizer, plan, SourceActivations(other, plan, 4, "generated"), 2)
    assert hooks_left(model) == hooks_left(other) == 0
    assert same_state(model, states[0])
    assert same_state(other, states[1])
