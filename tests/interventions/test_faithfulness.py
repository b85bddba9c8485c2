"""Divergences from both unchanged models, compared with softmax by hand, prompt by prompt."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from support.by_hand import forward
from support.tiny_models import PROMPTS

from dpo_neurons.errors import InputError
from dpo_neurons.interventions import faithfulness
from dpo_neurons.interventions.faithfulness import measure_on_answers, measure_on_text
from dpo_neurons.interventions.outputs import Intervention
from dpo_neurons.models.architectures import Layers

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


def test_divergences_on_neutral_text(loaded, architecture, monkeypatch):
    monkeypatch.setattr(faithfulness, "COMPARED_AT_ONCE", 2)
    pre, post = loaded(architecture, "pre"), loaded(architecture, "post")
    windows = [torch.tensor([5, 6, 7, 8]), torch.tensor([9, 10, 4])]
    rows = [Intervention("x", PLAN, "last", "all"), Intervention("unchanged", PLAN[:0], "all")]
    both = measure_on_text(pre, {"none": pre, "dpo": post}, rows, windows)
    table = both[both["intervention"] == "x"]
    assert (both[both["intervention"] == "unchanged"]["kl_none"] == 0).all()
    assert table["tokens"].tolist() == [3, 2]
    for number, window in enumerate(windows):
        changed = changed_shares(pre, window.tolist(), 0)[:-1]
        for name, model in (("none", pre), ("dpo", post)):
            expected = divergence(shares(model, window.tolist())[:-1], changed)
            assert table[f"kl_{name}"][number] == pytest.approx(expected, rel=2e-3, abs=1e-6)


def test_an_unchanged_model_does_not_diverge_from_itself(loaded, tokenizer):
    pre, post = loaded("gpt2", "pre"), loaded("gpt2", "post")
    table = measure_on_answers(
        post, {"none": pre, "dpo": post}, [Intervention("dpo", PLAN[:0], "all")], tokenizer,
        PROMPTS[:3], ANSWERS, N_TOKENS, 2,
    )  # fmt: skip
    assert (table["kl_dpo"] == 0).all()
    assert (table["kl_none"] > 0).all()


def test_a_model_that_predicts_no_numbers_is_said_to_be_broken(loaded, tokenizer, monkeypatch):
    pre, post = loaded("gpt2", "pre"), loaded("gpt2", "post")
    plan = pd.DataFrame([(0, 2, "set", 3e38)], columns=PLAN.columns)
    rows = [Intervention("unchanged", PLAN[:0], "all"), Intervention("huge", plan, "all")]
    with pytest.raises(InputError, match=r"row huge .*a prediction on neutral 0 is NaN"):
        measure_on_text(pre, {"none": pre, "dpo": post}, rows, [torch.tensor([5, 6, 7])])
