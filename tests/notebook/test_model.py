"""A checkpoint used as in a notebook, against the study's own programs and by hand."""

import numpy as np
import pandas as pd
import pytest
from support.by_hand import continue_alone, same_state, state_of, sums_alone
from support.tiny_models import PROMPTS

import dpo_neurons
from dpo_neurons.interventions.planning import plan_transplant
from dpo_neurons.neurons.contributions import identity_error

N_TOKENS = 5


@pytest.fixture(scope="module")
def pair(checkpoints):
    """Both checkpoints of a tiny GPT-2."""
    return [dpo_neurons.load_model(checkpoints["gpt2", stage]) for stage in ("pre", "post")]


def test_generation_is_greedy(pair):
    rows = pair[0].generate(PROMPTS, tokens=N_TOKENS)
    assert rows["prompt"].tolist() == PROMPTS
    for row in rows.itertuples():
        _, written = continue_alone(pair[0].model, pair[0].tokenizer, row.prompt, N_TOKENS)
        assert row.tokens == written[: len(row.tokens)]


def test_captured_means_are_those_of_each_prompt_alone(pair):
    model = pair[0]
    captured = model.capture(PROMPTS, tokens=N_TOKENS)
    total = 0
    for number, prompt in enumerate(PROMPTS):
        ids, _ = continue_alone(model.model, model.tokenizer, prompt, N_TOKENS)
        written = captured.tokens[number][captured.mask[number]].tolist()
        sums, _ = sums_alone(model.model, ids, written, "generated")
        expected = sums / max(len(written), 1)
        np.testing.assert_allclose(captured.mlp_post[number], expected, atol=1e-5)
        total = total + sums
    np.testing.assert_allclose(captured.mlp_post_mean, total / captured.mask.sum(), atol=1e-5)


def test_contributions_add_up_to_the_drop_of_the_mlp_outputs(pair):
    captured = [model.capture(PROMPTS, tokens=N_TOKENS) for model in pair]
    direction = np.random.default_rng(1).normal(size=16)
    direction /= np.linalg.norm(direction)
    table = dpo_neurons.compute_contributions(*pair, *captured, direction)
    drops = []
    for model, activations in zip(pair, captured, strict=True):
        biases = [block.mlp.c_proj.bias.numpy() for block in model.model.transformer.h]
        drops.append((activations.mlp_out_mean - np.stack(biases)) @ direction)
    assert identity_error(table, drops[0] - drops[1]) < 1e-5


def test_a_plan_written_in_a_line_is_applied_and_leaves_the_model_as_it_was(pair):
    model = pair[0]
    before = state_of(model.model)
    plan = dpo_neurons.make_plan(pd.DataFrame({"layer": [0, 1], "neuron": [3, 7]}), "set", 2.5)
    with model.apply_plan(plan):
        captured = model.capture(PROMPTS, tokens=N_TOKENS)
    counted = captured.mask.any(axis=1)
    np.testing.assert_allclose(captured.mlp_post[counted][:, 0, 3], 2.5)
    np.testing.assert_allclose(captured.mlp_post[counted][:, 1, 7], 2.5)
    assert same_state(model.model, before)
    free = model.measure_perplexity(["w1 w2 w3 w4 w5 w6 w7"], window=8)
    assert model.measure_perplexity(["w1 w2 w3 w4 w5 w6 w7"], window=8, plan=plan) != free


def test_an_unknown_name_is_no_attribute():
    with pytest.raises(AttributeError, match="open_studies"):
        _ = dpo_neurons.open_studies
    assert set(dpo_neurons.__all__) <= set(dir(dpo_neurons))
    assert all(callable(getattr(dpo_neurons, name)) for name in dpo_neurons.__all__)


def test_a_plan_puts_the_other_models_weights_in(pair):
    pre, post = pair
    state = state_of(pre.model)
    with pre.apply_plan(plan_transplant(2, None), donor=post):
        written = pre.generate(PROMPTS, tokens=N_TOKENS)
    assert written.equals(post.generate(PROMPTS, tokens=N_TOKENS))
    assert not written.equals(pre.generate(PROMPTS, tokens=N_TOKENS))
    assert same_state(pre.model, state)
