"""Sampling: the shares of tokens are the model's, whatever the batches."""

import numpy as np
import pytest
import torch
from support.by_hand import forward
from support.tiny_models import PROMPTS

from dpo_neurons.interventions.outputs import Intervention, continue_under_each
from dpo_neurons.interventions.plans import empty_plan
from dpo_neurons.models.sampling import Sampler, draw_uniforms, sample_tokens

LOGITS = torch.log(torch.tensor([[0.1, 0.5, 0.15, 0.25]]))
UNCHANGED = [Intervention("none", empty_plan(), "all")]
GRID = (torch.arange(1000) + 0.5) / 1000
"""Random numbers that fall evenly between 0 and 1."""


def shares(temperature=1.0, top_p=1.0):
    tokens = sample_tokens(LOGITS.expand(1000, -1), GRID, temperature, top_p)
    return (torch.bincount(tokens, minlength=4) / 1000).tolist()


def test_tokens_are_sampled_with_their_probability():
    assert shares() == pytest.approx([0.1, 0.5, 0.15, 0.25], abs=0.002)


def test_a_temperature_sharpens_or_flattens():
    squared = np.array([0.01, 0.25, 0.0225, 0.0625])
    assert shares(temperature=0.5) == pytest.approx(squared / squared.sum(), abs=0.002)


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [(0.3, [1]), (0.5, [1]), (0.7, [1, 3]), (0.8, [1, 2, 3]), (0.95, [0, 1, 2, 3])],
)
def test_a_nucleus_is_the_fewest_tokens_that_reach_its_share(top_p, kept):
    expected = np.zeros(4)
    expected[kept] = np.array([0.1, 0.5, 0.15, 0.25])[kept]
    assert shares(top_p=top_p) == pytest.approx(expected / expected.sum(), abs=0.002)


def test_a_barred_token_is_never_sampled():
    logits = torch.tensor([[0.0, -torch.inf, 0.0]]).expand(1000, -1)
    assert set(sample_tokens(logits, GRID, 1.0, 1.0).tolist()) == {0, 2}


def test_samples_do_not_depend_on_batches_and_differ_from_each_other(gpt2, tokenizer):
    def sampled(sample, batch_size):
        sampler = Sampler(draw_uniforms(len(PROMPTS), 6, 3, sample), 2.0, 0.95)
        (rows,) = continue_under_each(UNCHANGED, gpt2, tokenizer, PROMPTS, 6, batch_size, sampler)
        return [row["tokens"] for row in rows]

    assert sampled(1, 1) == sampled(1, 2) == sampled(1, 16)
    assert sampled(1, 16) != sampled(2, 16)


def test_the_first_token_follows_the_models_prediction(gpt2, tokenizer):
    ids = tokenizer(PROMPTS[0])["input_ids"]
    expected = torch.softmax(forward(gpt2, [ids])["logits"][0, -1].double(), dim=-1)
    prompts = [PROMPTS[0]] * 500
    sampler = Sampler(draw_uniforms(500, 1, 1, 1))
    (rows,) = continue_under_each(UNCHANGED, gpt2, tokenizer, prompts, 1, 64, sampler)
    tokens = torch.tensor(
        [(row["tokens"] or [gpt2.generation_config.eos_token_id])[0] for row in rows]
    )
    found = torch.bincount(tokens, minlength=len(expected)) / 500
    deviation = (expected * (1 - expected) / 500).sqrt()
    assert ((found - expected).abs() < 5 * deviation + 1e-3).all()


def test_a_nearly_cold_sampler_writes_what_greedy_decoding_writes(model, tokenizer):
    greedy = continue_under_each(UNCHANGED, model, tokenizer, PROMPTS, 5, 4)
    sampler = Sampler(draw_uniforms(len(PROMPTS), 5, 1, 1), temperature=1e-4)
    cold = continue_under_each(UNCHANGED, model, tokenizer, PROMPTS, 5, 4, sampler)
    assert cold == greedy
