"""The plans of every kind of intervention, from a small table of contributions."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest
import write_plans
import yaml

from dpo_neurons.directions.direction_files import write_direction
from dpo_neurons.errors import InputError
from dpo_neurons.interventions.plans import COLUMNS as PLAN_COLUMNS
from dpo_neurons.interventions.plans import read_plans
from dpo_neurons.neurons.contributions import COLUMNS

TABLE = pd.DataFrame(
    {
        "layer": [0, 0, 1, 1],
        "neuron": [0, 1, 0, 1],
        "cosine": [0.2, 0.9, 0.4, -0.5],
        "activation_pre": [1.5, -0.25, 0.75, -2.0],
        "activation_post": [0.5, -1.0, 0.25, -1.0],
        "group": ["TP-", "TN+", "TP-", "AN-"],
    }
).reindex(columns=list(COLUMNS), fill_value=0.0)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write the plans of an entry's rows, given as in a configuration, and read them again."""
    monkeypatch.chdir(tmp_path)
    TABLE.to_parquet("contributions.parquet")

    def write_rows(*rows, **files):
        named = [{"intervention": f"row {at}", **row} for at, row in enumerate(rows)]
        files = {"contributions": "contributions.parquet", **files, "output": "plans.parquet"}
        words = [word for name, path in files.items() for word in (f"--{name}", path)]
        monkeypatch.setattr(sys, "argv", ["write_plans.py", "--rows", json.dumps(named), *words])
        write_plans.main()
        return read_plans(Path("plans.parquet"))

    return write_rows


@pytest.fixture
def plan(write):
    """Plan one row, given as in a configuration: its changes."""

    def plan_row(settings, **files):
        plans = write(yaml.safe_load(f"{{{settings}}}"), **files)
        changes = [plan[list(PLAN_COLUMNS)] for plan in plans.values()]
        return [change for table in changes for change in table.itertuples(index=False, name=None)]

    return plan_row


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ("kind: none", []),
        ("kind: patch, groups: [TP-]", [(0, 0, "set", 0.5), (1, 0, "set", 0.25)]),
        ("kind: control, groups: [TP-]", [(0, 0, "set", 1.5), (1, 0, "set", 0.75)]),
        ("kind: patch, groups: [AN-, TN+]", [(0, 1, "set", -1.0), (1, 1, "set", -1.0)]),
        ("kind: control, groups: [AN-, TN+]", [(0, 1, "set", -0.25), (1, 1, "set", -2.0)]),
        ("kind: patch, groups: [AP+]", []),
        ("kind: ablate, top: 2", [(0, 1, "set", 0.0), (1, 0, "set", 0.0)]),
        ("kind: ablate, top: 1, activation: positive", [(1, 0, "set", 0.0)]),
        ("kind: scale_keys, top: 1, factor: 5", [(0, 1, "scale_key", 5.0)]),
        ("kind: scale_keys, top: 1, factor: -0.5", [(0, 1, "scale_key", -0.5)]),
        ("kind: patch, top: 1", [(0, 1, "set", -1.0)]),
        ("kind: control, top: 1", [(0, 1, "set", -0.25)]),
        ("kind: ablate, groups: [AN-]", [(1, 1, "set", 0.0)]),
        (
            "kind: patch, groups: [TP-], values: prompt",
            [(0, 0, "set_prompt_mean", 1.0), (1, 0, "set_prompt_mean", 1.0)],
        ),
        ("kind: patch, top: 1, values: token", [(0, 1, "set_token", 1.0)]),
        ("kind: patch, top: 1, values: same_text, dose: 0.5", [(0, 1, "set_same_text", 0.5)]),
        ("kind: shift, groups: [TP-], dose: 1", [(0, 0, "add", -1.0), (1, 0, "add", -0.5)]),
        (
            "kind: shift, dose: -2",
            [(0, 0, "add", 2.0), (0, 1, "add", 1.5), (1, 0, "add", 1.0), (1, 1, "add", -2.0)],
        ),
        ("kind: strip, groups: [TN+], share: 0.5", [(0, 1, "remove_direction", 0.5)]),
    ],
)
def test_each_kind_by_hand(plan, settings, changes):
    assert plan(settings) == changes


@pytest.mark.parametrize(
    ("settings", "files", "neurons"),
    [
        ("by: cosine_size, top: 3", {}, [(0, 1), (1, 0), (1, 1)]),
        ("by: reduction, top: 2", {}, [(0, 0), (0, 1)]),
        ("by: change, top: 2", {"ranking": "ranking.parquet"}, [(0, 0), (1, 1)]),
        ("", {"file": "mine.csv"}, [(0, 1), (1, 1)]),
    ],
)
def test_neurons_are_selected_by_other_means(plan, settings, files, neurons):
    TABLE[["layer", "neuron"]].assign(score=[3, 1, 0, 2]).to_parquet("ranking.parquet")
    Path("mine.csv").write_text("neuron,why,layer\n1,a,1\n1,b,0\n")
    changes = plan(f"kind: ablate, {settings}", **files)
    assert [change[:2] for change in changes] == neurons


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("0,1\n0,1\n", r"mine.csv, line 3: layer 0, neuron 1 is listed twice \(.*line 2 too\)"),
        ("0,7\n", "line 2: the model has no layer 0, neuron 7; both count from 0"),
        ("0,x\n", "line 2: layer '0', neuron 'x' are no whole numbers"),
    ],
)
def test_a_mistake_in_a_list_of_neurons_is_named(plan, lines, words):
    Path("mine.csv").write_text(f"layer,neuron\n{lines}")
    with pytest.raises(InputError, match=words):
        plan("kind: ablate", file="mine.csv")


def test_experts_are_damped_by_how_well_they_tell(plan):
    TABLE[["layer", "neuron"]].assign(score=[0.75, 0.4, 1.0, 0.5]).to_parquet("auroc.parquet")
    damped = plan("kind: damp", ranking="auroc.parquet")
    assert damped == [(0, 0, "scale", 0.5), (1, 0, "scale", 0.0)]
    top = plan("kind: damp, top: 1, by: auroc", ranking="auroc.parquet")
    assert top == [(1, 0, "scale", 0.0)]


# TP: 0.2 and 0.4; TN: 0.9; AN: 0.5; no AP. Half of two is one, half of one rounds down to none.
@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        (
            "alpha: 0.1, beta: 1, form: assign",
            [(0, 0, "set", 1.35), (0, 1, "set", -0.275), (1, 0, "set", 0.675), (1, 1, "set", -1.8)],
        ),
        (
            "alpha: 0.1, beta: 1, form: scale",
            [(0, 0, "scale", 0.9), (0, 1, "scale", 1.1), (1, 0, "scale", 0.9),
             (1, 1, "scale", 0.9)],
        ),
        ("alpha: 0.1, beta: 0.5, form: scale", [(1, 0, "scale", 0.9)]),
        (
            "alpha: 0.5, beta: 1, form: shift",
            [(0, 0, "add", -0.75), (0, 1, "add", -0.125), (1, 0, "add", -0.375),
             (1, 1, "add", 1.0)],
        ),
        ("alpha: 0, beta: 0.5, form: assign", [(1, 0, "set", 0.75)]),
        # Without the neuron of activation −2.
        ("alpha: 0.1, beta: 1, without_most_active: 0.25, form: scale",
         [(0, 0, "scale", 0.9), (0, 1, "scale", 1.1), (1, 0, "scale", 0.9)]),
    ],
)  # fmt: skip
def test_editing_by_hand(plan, settings, changes):
    columns = ["layer", "neuron", "cosine", "activation_pre"]
    TABLE[columns].assign(norm=1.0).to_parquet("neurons.parquet")
    planned = plan(f"kind: edit, {settings}", neurons="neurons.parquet")
    assert [change[:3] for change in planned] == [change[:3] for change in changes]
    assert [change[3] for change in planned] == pytest.approx([change[3] for change in changes])


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ("groups: [TP-, TN+], alpha: 0.5, form: scale",
         [(0, 0, "scale", 0.5), (0, 1, "scale", 1.5), (1, 0, "scale", 0.5)]),
        ("groups: [AN-], alpha: 0.5, form: assign", [(1, 1, "set", -1.0)]),
    ],
)  # fmt: skip
def test_known_groups_are_halved_or_raised_by_hand(plan, settings, changes):
    assert plan(f"kind: edit, {settings}") == changes


def test_stripping_all_neurons_needs_no_second_checkpoint(plan):
    columns = ["layer", "neuron", "cosine", "activation_pre"]
    TABLE[columns].assign(norm=1.0).to_parquet("neurons.parquet")
    changes = plan("kind: strip, share: 1", neurons="neurons.parquet")
    assert [change[:2] for change in changes] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert {change[2:] for change in changes} == {("remove_direction", 1.0)}


@pytest.mark.parametrize(("key", "layer", "number"), [
    ("num_hidden_layers", "last", 5), ("n_layer", "last", 5), ("n_layer", "0", 0),
])  # fmt: skip
def test_steering_by_hand(plan, key, layer, number):
    Path("config.json").write_text(json.dumps({key: 6}))
    changes = plan(f"kind: steer, layer: {layer}, scale: 2.5", checkpoint=".")
    assert changes == [(number, -1, "subtract_direction", 2.5)]


def test_a_direction_of_its_own_length_is_subtracted(plan):
    Path("config.json").write_text(json.dumps({"n_layer": 6}))
    write_direction(Path("probe.safetensors"), [[3.0, 4.0], [1.0, 0.0]], {})
    settings = "kind: steer, along: direction, layer: last, scale: 10"
    changes = plan(f"{settings}, length: own", checkpoint=".", direction="probe.safetensors")
    assert changes == [(5, -1, "subtract_direction", 50.0)]


@pytest.mark.parametrize(
    ("settings", "change"),
    [
        ("kind: steer, along: shift, layer: middle, scale: 0.5", (3, -1, "add_shift", 0.5)),
        ("kind: steer, along: direction, layer: 2, scale: 4", (2, -1, "subtract_direction", 4.0)),
        ("kind: control, along: random, layer: last, scale: 1", (5, -1, "add_random", 1.0)),
    ],
)
def test_steering_along_the_shift_and_its_control_by_hand(plan, settings, change):
    Path("config.json").write_text(json.dumps({"n_layer": 6}))
    assert plan(settings, checkpoint=".") == [change]


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ("parts: [mlp], layers: [1, 2]",
         [(1, -1, "transplant_keys", 1.0), (2, -1, "transplant_keys", 1.0),
          (1, -1, "transplant_values", 1.0), (2, -1, "transplant_values", 1.0)]),
        ("parts: [values, embedding], rank: 4",
         [*((layer, -1, "transplant_rank_of_values", 4.0) for layer in range(3)),
          (-1, -1, "transplant_rank_of_embedding", 4.0)]),
        ("parts: [norms], dose: 0.5",
         [(layer, -1, "transplant_norms", 0.5) for layer in range(-1, 3)]),
        ("layers: [1, 1]",
         [(1, -1, f"transplant_{part}", 1.0) for part in ("keys", "values", "attention", "norms")]),
        ("groups: [TP-]",
         [(0, 0, "transplant_keys", 1.0), (1, 0, "transplant_keys", 1.0),
          (0, 0, "transplant_values", 1.0), (1, 0, "transplant_values", 1.0)]),
        ("top: 1, parts: [values], dose: 2", [(0, 1, "transplant_values", 2.0)]),
    ],
)  # fmt: skip
def test_transplants_by_hand(plan, settings, changes):
    Path("config.json").write_text(json.dumps({"n_layer": 3}))
    assert plan(f"kind: transplant, {settings}", checkpoint=".") == changes


def test_layers_to_transplant_that_the_model_has_not_are_named(plan):
    Path("config.json").write_text(json.dumps({"n_layer": 3}))
    words = "a transplant has layers 1 to 3, but the model has layers 0 to 2"
    with pytest.raises(InputError, match=words):
        plan("kind: transplant, layers: [1, 3]", checkpoint=".")


def test_a_layer_that_the_model_has_not_is_named(plan):
    Path("config.json").write_text(json.dumps({"n_layer": 6}))
    words = "a steer row has layer 6, but the model has layers 0 to 5"
    with pytest.raises(InputError, match=words):
        plan("kind: steer, layer: 6, scale: 1", checkpoint=".")


def test_an_entrys_rows_say_in_columns_what_they_are(write):
    patch = {"kind": "patch", "groups": ["TP-", "AN-"], "direction": "probe", "values": "mean"}
    control = {**patch, "kind": "control", "control_of": "row 0"}
    plans = write(patch, control)
    assert plans["row 0"][["layer", "neuron"]].equals(plans["row 1"][["layer", "neuron"]])
    assert len(plans["row 0"]) == 3
    assert plans["row 0"]["control_of"].isna().all()
    for column, values in (("kind", ["patch", "control"]),
                           ("groups", ["TP- AN-"] * 2), ("direction", ["probe"] * 2),
                           ("values", ["mean"] * 2)):  # fmt: skip
        for name, value in zip(plans, values, strict=True):
            assert set(plans[name][column]) == {value}
    assert set(plans["row 1"]["control_of"]) == {"row 0"}
    assert plans["row 1"][["alpha", "beta", "factor", "scale", "share"]].isna().all(axis=None)


def test_an_entry_without_changes_has_the_same_columns(write):
    assert write({"kind": "dpo"}) == {}
    empty = pd.read_parquet("plans.parquet")
    write({"kind": "ablate", "top": 1})
    assert list(pd.read_parquet("plans.parquet").columns) == list(empty.columns)
