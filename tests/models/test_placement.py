"""A model on several GPUs: where its parts go, and the same results as on one device."""

import accelerate
import pandas as pd
import pytest
import torch
from support.by_hand import forward, same_state, state_of
from support.tiny_models import PROMPTS
from transformers import PreTrainedModel

from dpo_neurons.activations.capture import ActivationCapture
from dpo_neurons.errors import InputError
from dpo_neurons.interventions.hooks import apply_plan
from dpo_neurons.models import loading as checkpoints_module
from dpo_neurons.models.generation import generate_greedily
from dpo_neurons.models.loading import load_model


def test_one_device_holds_the_whole_model():
    assert checkpoints_module._placement(["cuda:0"]) == {"device_map": {"": "cuda:0"}}


def test_several_gpus_are_filled_evenly_and_no_others(monkeypatch):
    free = {"cuda:1": 7_000, "cuda:3": 5_000}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda one: (free[one], 80_000))
    placement = checkpoints_module._placement(["cuda:1", "cuda:3"])
    assert placement == {"device_map": "balanced", "max_memory": {1: 7_000, 3: 5_000}}


@pytest.mark.parametrize("spilled", ["disk", "cpu"])
def test_a_model_that_gpus_have_no_room_for_is_refused(checkpoints, monkeypatch, spilled):
    # transformers would move the rest elsewhere, where changes of weights have no effect.
    placement = {"device_map": {"": spilled}}
    monkeypatch.setattr(checkpoints_module, "_placement", lambda devices: placement)
    monkeypatch.setattr(PreTrainedModel, "hf_device_map", placement["device_map"], raising=False)
    with pytest.raises(InputError, match=r"no room on 2 GPU\(s\); raise models\.….gpus"):
        load_model(checkpoints["llama", "pre"], "float32", ["cuda:0", "cuda:1"])


@pytest.fixture
def dispatched(checkpoints, architecture):
    """The first checkpoint with accelerate's hooks on every module, as on several GPUs."""
    model = load_model(checkpoints[architecture, "pre"], "float32", "cpu")
    return accelerate.dispatch_model(
        model, {name: "cpu" for name, _ in model.named_children()}, force_hooks=True
    )


def captured(model, tokenizer):
    with ActivationCapture(model, "generated") as capture:
        runs = list(generate_greedily(model, tokenizer, PROMPTS, 5, 5, capture))
    return runs[0].tokens, capture.sums["mlp_post"]


def test_a_dispatched_model_gives_the_same_activations(model, dispatched, tokenizer):
    assert any(hasattr(module, "_hf_hook") for module in dispatched.modules())
    (tokens, sums), (tokens_there, sums_there) = (
        captured(one, tokenizer) for one in (model, dispatched)
    )
    assert (tokens == tokens_there).all()
    assert torch.equal(sums, sums_there)


@pytest.mark.parametrize("positions", ["last", "all"])
def test_a_dispatched_model_is_changed_alike(model, dispatched, tokenizer, positions):
    rows = {"layer": [0, 1, 1], "neuron": [3, 0, 7], "operation": ["set", "scale", "scale_key"],
            "value": [2.0, -1.5, 4.0]}  # fmt: skip
    logits = []
    for tested in (model, dispatched):
        before = state_of(tested)
        with apply_plan(tested, pd.DataFrame(rows), positions):
            logits.append(forward(tested, [[5, 6, 7, 30]])["logits"])
        assert same_state(tested, before)
        assert not torch.equal(logits[-1], forward(tested, [[5, 6, 7, 30]])["logits"])
    assert torch.equal(*logits)
