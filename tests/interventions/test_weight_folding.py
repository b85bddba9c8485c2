"""A folded checkpoint gives the plan's own outputs, on every architecture, or is refused."""

import copy
import json
import sys

import export_intervention
import numpy as np
import pandas as pd
import pytest
import torch
from support.by_hand import forward

from dpo_neurons.directions.direction_files import write_direction
from dpo_neurons.errors import InputError
from dpo_neurons.files.provenance import write_source
from dpo_neurons.interventions.hooks import apply_plan
from dpo_neurons.interventions.plans import write_plans
from dpo_neurons.interventions.weight_folding import fold_plan
from dpo_neurons.models.architectures import Layers
from dpo_neurons.models.loading import load_model

pytestmark = pytest.mark.every_architecture

IDS = [[5, 9, 14, 22, 7], [30, 8, 8, 17, 3]]


def plan_of(*rows):
    plan = pd.DataFrame(rows, columns=["layer", "neuron", "operation", "value"])
    return plan.astype({"layer": int, "neuron": int, "value": float})


WITHOUT_CONSTANTS = plan_of(
    (0, 3, "set", 0.0), (0, 11, "scale", -2.5), (1, 0, "scale", 0.0), (1, 4, "set", 0.0),
    (0, 3, "scale_key", 4.0), (1, 7, "scale_key", -3.0), (1, 9, "remove_direction", 1.0),
    (0, 11, "remove_direction", 0.5), (0, 5, "scale_head", 3.0), (1, 2, "set_head", 0.0),
)  # fmt: skip
CONSTANTS = plan_of(
    (0, 3, "set", 0.7), (1, 0, "add", 1.3), (1, 4, "set", -2.0),
    (0, 6, "set_head", 0.8), (1, 15, "add_head", -1.1),
)  # fmt: skip


def unit_direction(model):
    random = np.random.default_rng(3).normal(size=(1, model.config.hidden_size))
    return random / np.linalg.norm(random)


def assert_does_the_same(model, plan, direction):
    folded = copy.deepcopy(model)
    fold_plan(folded, plan, direction)
    with apply_plan(model, plan, "all", direction):
        expected = forward(model, IDS)["logits"]
    np.testing.assert_allclose(forward(folded, IDS)["logits"], expected, rtol=1e-3, atol=1e-4)
    assert (forward(model, IDS)["logits"] - expected).abs().max() > 1e-3


def test_factors_keys_and_stripped_vectors_are_in_the_weights(model):
    assert_does_the_same(model, WITHOUT_CONSTANTS, unit_direction(model))


@pytest.mark.parametrize("plan", [CONSTANTS, plan_of((1, -1, "subtract_direction", 2.0))])
def test_constants_are_in_the_bias_or_refused(model, plan):
    layers, direction = Layers.of(model), unit_direction(model)
    steered = "subtract_direction" in set(plan["operation"])
    if layers.down_projections[0].bias is None or (steered and layers.norms_after_mlp):
        with pytest.raises(InputError, match=r"no bias|behind the norm"):
            fold_plan(copy.deepcopy(model), plan, direction)
        return
    assert_does_the_same(model, plan, direction)


def test_what_another_model_does_is_in_no_weights(gpt2):
    with pytest.raises(InputError, match="what another model does on the same prompt"):
        fold_plan(copy.deepcopy(gpt2), plan_of((0, 3, "set_token", 1.0)), None)


def test_the_program_writes_a_checkpoint_that_loads_and_a_card(
    checkpoints, loaded, tmp_path, monkeypatch
):
    pre, model = checkpoints["gpt2", "pre"], loaded("gpt2")
    direction = unit_direction(model)
    write_direction(tmp_path / "direction.safetensors", direction, {})
    write_plans(tmp_path / "plans.parquet", {"strip_x": WITHOUT_CONSTANTS, "y": CONSTANTS})
    write_source(tmp_path / "pre.json", {"kind": "hub", "revision": "abc"})
    options = {
        "model": "toy", "stage": "pre", "intervention": "strip_x", "checkpoint": pre,
        "source": tmp_path / "pre.json", "plans": tmp_path / "plans.parquet",
        "direction": tmp_path / "direction.safetensors", "dtype": "float32",
        "output": tmp_path / "exported", "source-output": tmp_path / "exported.json",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["export_intervention.py", *words])
    export_intervention.main()
    exported = load_model(tmp_path / "exported", "float32", [torch.device("cpu")])
    with apply_plan(model, WITHOUT_CONSTANTS, "all", direction):
        expected = forward(model, IDS)["logits"]
    np.testing.assert_allclose(forward(exported, IDS)["logits"], expected, rtol=1e-3, atol=1e-4)
    card = (tmp_path / "exported/README.md").read_text()
    assert "# toy: strip_x" in card
    assert "scale_key on 2" in card
    facts = json.loads((tmp_path / "exported.json").read_text())
    assert (facts["kind"], facts["of"], "README.md" in facts["files"]) == ("export", "abc", True)
