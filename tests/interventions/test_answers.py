"""Divergences on answers, compared with softmax by hand, prompt by prompt, and token by token."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from support.by_hand import forward
from support.tiny_models import PROMPTS

from dpo_neurons.interventions.answers import measure_on_answers
from dpo_neurons.interventions.outputs import Intervention
from dpo_neurons.interventions.source_activations import SourceActivations
from dpo_neurons.models.architectures import Layers
from dpo_neurons.models.decoding import Decoder
from dpo_neurons.models.tokenization import pad_rows

N_TOKENS = 5
ANSWERS = [[5, 6, 7], [], [8, 9, 10, 11, 12]]
"""Token ids: one that ended early, one that ended at once, one of full length."""
PLAN = pd.DataFrame(
    [(0, 2, "set", 0.7), (1, 3, "add", -0.4)], columns=["layer", "neuron", "operation", "value"]
)


def shares(model, ids):
    return torch.log_softmax(forward(model, [ids])["logits"][0].double(), dim=-1).numpy()


def divergence(expected, changed):
    return float((np.exp(expected) * (expected - changed)).sum())


def changed_shares(model, ids, start):
    """Predictions where PLAN acts from a position on, by hooks of this test."""

    def hook(module, inputs, neuron, operation, value):
        states = inputs[0].view(1, -1, inputs[0].shape[-1])
        kept = states[:, start:, neuron] if operation == "add" else 0
        states[:, start:, neuron] = kept + value

    hooks = [
        Layers.of(model)
        .down_projections[layer]
        .register_forward_pre_hook(partial(hook, neuron=neuron, operation=operation, value=value))
        for layer, neuron, operation, value in PLAN.itertuples(index=False)
    ]
    try:
        return shares(model, ids)
    finally:
        for registered in hooks:
            registered.remove()


@pytest.mark.parametrize("batch_size", [1, 16])
def test_divergences_on_answers(loaded, architecture, tokenizer, batch_size):
    pre, post = loaded(architecture, "pre"), loaded(architecture, "post")
    prompts = PROMPTS[: len(ANSWERS)]
    rows = [Intervention("x", PLAN, "last"), Intervention("unchanged", PLAN[:0], "all")]
    both = measure_on_answers(
        pre, {"none": pre, "dpo": post}, rows, tokenizer, prompts, ANSWERS, N_TOKENS, batch_size
    )
    table = both[both["intervention"] == "x"]
    assert (both[both["intervention"] == "unchanged"]["kl_none"] == 0).all()
    assert table["text"].eq("answers").all()
    assert table["tokens"].tolist() == [4, 1, 5]  # the end is a prediction too
    for number, (prompt, answer) in enumerate(zip(prompts, ANSWERS, strict=True)):
        ids = tokenizer(prompt)["input_ids"]
        read, start = ids + answer, len(ids) - 1
        changed = changed_shares(pre, read, start)
        scored = slice(start, start + table["tokens"][number])
        for name, model in (("none", pre), ("dpo", post)):
            expected = divergence(shares(model, read)[scored], changed[scored])
            assert table[f"kl_{name}"][number] == pytest.approx(expected, rel=2e-3, abs=1e-6)
    assert (table["kl_none"] > 1e-6).all()


def test_an_unchanged_model_does_not_diverge_from_itself(loaded, tokenizer):
    pre, post = loaded("gpt2", "pre"), loaded("gpt2", "post")
    table = measure_on_answers(
        post, {"none": pre, "dpo": post}, [Intervention("dpo", PLAN[:0], "all")], tokenizer,
        PROMPTS[:3], ANSWERS, N_TOKENS, 2,
    )  # fmt: skip
    assert (table["kl_dpo"] == 0).all()
    assert (table["kl_none"] > 0).all()


def plan_of(*rows):
    return pd.DataFrame(rows, columns=PLAN.columns)


def token_by_token(model, row, prompts, answers):
    """Log-probabilities of each token of answers of N_TOKENS, read one by one as if generated."""
    ids, mask = pad_rows(prompts, 0, "left")
    decoder = Decoder(model, ids, mask, N_TOKENS)
    with row.apply_in_generation(model):
        if row.source is not None:
            row.source.see_prompts(ids, mask, 0)
        logits = [decoder.read_prompts()]
        for tokens in torch.tensor(answers).T[:-1]:
            if row.source is not None:
                row.source.see_tokens(tokens)
            decoder.append(tokens[:, None])
            logits.append(decoder.read_newest())
    return torch.log_softmax(torch.stack(logits, dim=1).double(), dim=-1).numpy()


def compare_with_token_by_token(pre, post, rows, tokenizer):
    """Rows that are read together, in one pass each, against each alone and token by token."""
    prompts, answers = PROMPTS[:3], [[5, 6, 7, 8, 9], [10, 11, 12, 13, 14], [4, 5, 15, 16, 17]]
    table = measure_on_answers(
        pre, {"none": pre, "dpo": post}, rows, tokenizer, prompts, answers, N_TOKENS, 2
    )
    ids = tokenizer(prompts)["input_ids"]
    unchanged = token_by_token(pre, Intervention("none", PLAN[:0], "last"), ids, answers)
    for row in rows:
        changed = token_by_token(pre, row, ids, answers)
        expected = (np.exp(unchanged) * (unchanged - changed)).sum(axis=(1, 2))
        measured = table.loc[table["intervention"] == row.name, "kl_none"]
        np.testing.assert_allclose(measured, expected, rtol=2e-3, atol=1e-6)
        assert (measured > 1e-7).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"last": [(1, 3, "set", 2.0)], "lower": [(0, 2, "add", -0.4)]},
        {"all": [(1, 3, "scale", -3.0)], "key": [(1, 2, "scale_key", 4.0), (1, 5, "set", 1.0)]},
    ],
    ids=["newest", "prompts too"],
)
def test_one_pass_predicts_what_generation_does(loaded, architecture, tokenizer, changes):
    pre, post = loaded(architecture, "pre"), loaded(architecture, "post")
    rows = [
        Intervention(name, plan_of(*plan), "all" if name == "all" else "last")
        for name, plan in changes.items()
    ]
    compare_with_token_by_token(pre, post, rows, tokenizer)


@pytest.mark.parametrize("positions", ["last", "all"])
@pytest.mark.parametrize("operation", ["set_token", "set_prompt_mean", "set_same_text"])
def test_one_pass_assigns_the_second_models_activations(
    loaded, tokenizer, monkeypatch, operation, positions
):
    pre, post = loaded("gpt2", "pre"), loaded("gpt2", "post")
    # Its continuation of one prompt ends early.
    monkeypatch.setattr(post.generation_config, "eos_token_id", [20, 33])
    plan = plan_of((0, 2, operation, 1.0), (1, 3, operation, 0.5))
    source = SourceActivations(post, plan, N_TOKENS, "generated")
    rows = [Intervention("x", plan, positions, source=source)]
    compare_with_token_by_token(pre, post, rows, tokenizer)
