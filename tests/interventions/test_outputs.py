"""Continuations under several interventions at once, and a model that breaks under one."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from support.tiny_models import PROMPTS

from dpo_neurons.errors import BrokenModelError, InputError
from dpo_neurons.interventions import outputs
from dpo_neurons.interventions.hooks import apply_plan, prepare_plan
from dpo_neurons.interventions.outputs import (
    Intervention,
    continue_prompts,
    continue_under_each,
    cut_continuations,
    name_broken_intervention,
)

N_TOKENS = 7
CHANGES = {
    "unchanged": ([], "all"),
    "set": ([(0, 3, "set", 2.5), (1, 0, "add", -3.0)], "last"),
    "stronger": ([(0, 3, "set", 9.0), (1, 5, "scale", -4.0)], "last"),
    "everywhere": ([(0, 3, "set", 9.0), (1, 5, "scale", -4.0)], "all"),
    "keys": ([(0, 3, "scale_key", 6.0), (1, 4, "scale_key", -6.0)], "last"),
}
"""Changes, by name, and where they act; the last two reach tokens before the newest."""


def plan_of(changes):
    return pd.DataFrame(changes, columns=["layer", "neuron", "operation", "value"])


INTERVENTIONS = [
    Intervention(name, plan_of(changes), positions)
    for name, (changes, positions) in CHANGES.items()
]


@pytest.mark.every_architecture
@pytest.mark.parametrize("batch_size", [1, 16])
def test_together_interventions_write_token_by_token_what_each_writes_alone(
    model, tokenizer, batch_size
):
    together = continue_under_each(INTERVENTIONS, model, tokenizer, PROMPTS, N_TOKENS, batch_size)
    for intervention, rows in zip(INTERVENTIONS, together, strict=True):
        # By itself, with the prompts read whole under the plan.
        with apply_plan(model, intervention.plan, intervention.generation_positions):
            assert rows == continue_prompts(model, tokenizer, PROMPTS, N_TOKENS, batch_size)
    assert len({str(rows) for rows in together}) > 1


@pytest.mark.parametrize(("length", "cut"), [(2, "w1 w2"), (3, "w1 w2 w3"), (9, "whole")])
def test_a_longer_continuation_is_cut_to_so_many_tokens(tokenizer, length, cut):
    row = {"continuation": "whole", "tokens": tokenizer("w1 w2 w3 w4")["input_ids"]}
    cut_continuations(tokenizer, [[row]], [[0] * length])
    assert row["cut"] == cut


def test_a_prompt_that_is_too_long_is_told_before_anything_is_read(gpt2, tokenizer):
    long = " ".join(["w1"] * (gpt2.config.max_position_embeddings + 5))
    with pytest.raises(InputError, match="tokens to read, but the model reads at most"):
        continue_under_each(INTERVENTIONS, gpt2, tokenizer, ["w1 w2", long], N_TOKENS, 2)


def test_prompts_are_read_once_for_all_that_change_the_newest_token_alone(gpt2, tokenizer):
    lengths, prompts = [], sorted(PROMPTS, key=len)[-2:]
    hook = gpt2.transformer.wte.register_forward_hook(
        lambda module, inputs, output: lengths.append(inputs[0].shape[1])
    )
    try:
        continue_under_each(INTERVENTIONS, gpt2, tokenizer, prompts, 2, 2)
    finally:
        hook.remove()
    longest = max(len(tokenizer(prompt)["input_ids"]) for prompt in prompts)
    # The beginnings once, and the whole prompts for the two that change what stands before.
    assert lengths.count(longest - 1) == 1
    assert lengths.count(longest) == 2
    assert [row.changes_newest_only for row in INTERVENTIONS] == [True, True, True, False, False]


def test_a_plan_is_prepared_once_for_all_batches(gpt2, tokenizer, monkeypatch):
    prepared = []

    def prepare(model, plan, positions, *given):
        prepared.append(positions)
        return prepare_plan(model, plan, positions, *given)

    monkeypatch.setattr(outputs, "prepare_plan", prepare)
    rows = [replace(intervention) for intervention in INTERVENTIONS]
    continue_under_each(rows, gpt2, tokenizer, PROMPTS, 2, 1)
    assert prepared == [intervention.generation_positions for intervention in INTERVENTIONS]


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        (
            pd.DataFrame({"layer": [0], "factor": [1000.0], "alpha": [np.nan], "scale": [None]}),
            r"row x \(factor 1000, float16\): the logits .* breaks the model; lower its factor, or",
        ),
        (
            pd.DataFrame({"layer": [0], "groups": ["TP-"]}),
            r"row x \(float16\): the logits .* the model; leave the row out, or set models",
        ),
        (
            pd.DataFrame({"layer": []}),
            "^row x, in float16: the logits .* make the checkpoint again",
        ),
    ],
)
def test_a_broken_model_is_named_with_what_broke_it(plan, sentence):
    with (
        pytest.raises(InputError, match=sentence),
        name_broken_intervention("x", plan, SimpleNamespace(dtype=torch.float16)),
    ):
        raise BrokenModelError("the logits after prompt 3 of a batch are NaN or infinite")
