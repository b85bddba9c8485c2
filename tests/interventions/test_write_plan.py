"""The plans of every kind of intervention, from a small table of contributions."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest
import write_plan

from dpo_neurons.errors import InputError
from dpo_neurons.interventions.plans import COLUMNS as PLAN_COLUMNS
from dpo_neurons.interventions.plans import read_plan
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


def written(tmp_path, monkeypatch, *options):
    """Rows of the plan that the program writes."""
    TABLE.to_parquet(tmp_path / "contributions.parquet")
    output = tmp_path / "plan.parquet"
    words = ["--contributions", tmp_path / "contributions.parquet", "--output", output, *options]
    monkeypatch.setattr(sys, "argv", ["write_plan.py", *map(str, words)])
    write_plan.main()
    return list(read_plan(output)[list(PLAN_COLUMNS)].itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ("--kind none", []),
        ("--kind patch --groups TP-", [(0, 0, "set", 0.5), (1, 0, "set", 0.25)]),
        ("--kind control --groups TP-", [(0, 0, "set", 1.5), (1, 0, "set", 0.75)]),
        ("--kind patch --groups AN- TN+", [(0, 1, "set", -1.0), (1, 1, "set", -1.0)]),
        ("--kind control --groups AN- TN+", [(0, 1, "set", -0.25), (1, 1, "set", -2.0)]),
        ("--kind patch --groups AP+", []),
        ("--kind ablate --top 2", [(0, 1, "set", 0.0), (1, 0, "set", 0.0)]),
        ("--kind ablate --top 1 --activation positive", [(1, 0, "set", 0.0)]),
        ("--kind scale_keys --top 1 --factor 5", [(0, 1, "scale_key", 5.0)]),
        ("--kind scale_keys --top 1 --factor -0.5", [(0, 1, "scale_key", -0.5)]),
        ("--kind patch --top 1", [(0, 1, "set", -1.0)]),
        ("--kind control --top 1", [(0, 1, "set", -0.25)]),
        ("--kind ablate --groups AN-", [(1, 1, "set", 0.0)]),
        (
            "--kind patch --groups TP- --values prompt",
            [(0, 0, "set_prompt_mean", 1.0), (1, 0, "set_prompt_mean", 1.0)],
        ),
        ("--kind patch --top 1 --values token", [(0, 1, "set_token", 1.0)]),
        (
            "--kind patch --top 1 --values same_text --dose 0.5",
            [(0, 1, "set_same_text", 0.5)],
        ),
        ("--kind shift --groups TP- --dose 1", [(0, 0, "add", -1.0), (1, 0, "add", -0.5)]),
        (
            "--kind shift --dose -2",
            [(0, 0, "add", 2.0), (0, 1, "add", 1.5), (1, 0, "add", 1.0), (1, 1, "add", -2.0)],
        ),
        ("--kind strip --groups TN+ --share 0.5", [(0, 1, "remove_direction", 0.5)]),
    ],
)
def test_each_kind_by_hand(tmp_path, monkeypatch, options, rows):
    assert written(tmp_path, monkeypatch, *options.split()) == rows


@pytest.mark.parametrize(
    ("options", "neurons"),
    [
        ("--by cosine_size --top 3", [(0, 1), (1, 0), (1, 1)]),
        ("--by reduction --top 2", [(0, 0), (0, 1)]),
        ("--by change --top 2 --ranking ranking.parquet", [(0, 0), (1, 1)]),
        ("--file mine.csv", [(0, 1), (1, 1)]),
    ],
)
def test_neurons_are_selected_by_other_means(tmp_path, monkeypatch, options, neurons):
    monkeypatch.chdir(tmp_path)
    TABLE[["layer", "neuron"]].assign(score=[3, 1, 0, 2]).to_parquet("ranking.parquet")
    Path("mine.csv").write_text("neuron,why,layer\n1,a,1\n1,b,0\n")
    found = written(tmp_path, monkeypatch, "--kind", "ablate", *options.split())
    assert [row[:2] for row in found] == neurons


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("0,1\n0,1\n", r"mine.csv, line 3: layer 0, neuron 1 is listed twice \(.*line 2 too\)"),
        ("0,7\n", "line 2: the model has no layer 0, neuron 7; both count from 0"),
        ("0,x\n", "line 2: layer '0', neuron 'x' are no whole numbers"),
    ],
)
def test_a_mistake_in_a_list_of_neurons_is_named(tmp_path, monkeypatch, lines, words):
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text(f"layer,neuron\n{lines}")
    with pytest.raises(InputError, match=words):
        written(tmp_path, monkeypatch, "--kind", "ablate", "--file", "mine.csv")


def test_experts_are_damped_by_how_well_they_tell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    TABLE[["layer", "neuron"]].assign(score=[0.75, 0.4, 1.0, 0.5]).to_parquet("auroc.parquet")
    words = ["--kind", "damp", "--ranking", "auroc.parquet"]
    assert written(tmp_path, monkeypatch, *words) == [(0, 0, "scale", 0.5), (1, 0, "scale", 0.0)]
    top = [*words, "--top", "1", "--by", "auroc"]
    assert written(tmp_path, monkeypatch, *top) == [(1, 0, "scale", 0.0)]


# TP: 0.2 and 0.4; TN: 0.9; AN: 0.5; no AP. Half of two is one, half of one rounds to none.
@pytest.mark.parametrize(
    ("options", "rows"),
    [
        (
            "--alpha 0.1 --beta 1 --form assign",
            [(0, 0, "set", 1.35), (0, 1, "set", -0.275), (1, 0, "set", 0.675), (1, 1, "set", -1.8)],
        ),
        (
            "--alpha 0.1 --beta 1 --form scale",
            [(0, 0, "scale", 0.9), (0, 1, "scale", 1.1), (1, 0, "scale", 0.9),
             (1, 1, "scale", 0.9)],
        ),
        ("--alpha 0.1 --beta 0.5 --form scale", [(1, 0, "scale", 0.9)]),
        (
            "--alpha 0.5 --beta 1 --form shift",
            [(0, 0, "add", -0.75), (0, 1, "add", -0.125), (1, 0, "add", -0.375),
             (1, 1, "add", 1.0)],
        ),
        ("--alpha 0 --beta 0.5 --form assign", [(1, 0, "set", 0.75)]),
    ],
)  # fmt: skip
def test_editing_by_hand(tmp_path, monkeypatch, options, rows):
    columns = ["layer", "neuron", "cosine", "activation_pre"]
    TABLE[columns].assign(norm=1.0).to_parquet(tmp_path / "neurons.parquet")
    words = ["--kind", "edit", "--neurons", str(tmp_path / "neurons.parquet"), *options.split()]
    found = written(tmp_path, monkeypatch, *words)
    assert [row[:3] for row in found] == [row[:3] for row in rows]
    assert [row[3] for row in found] == pytest.approx([row[3] for row in rows])


def test_stripping_all_neurons_needs_no_second_checkpoint(tmp_path, monkeypatch):
    columns = ["layer", "neuron", "cosine", "activation_pre"]
    TABLE[columns].assign(norm=1.0).to_parquet(tmp_path / "neurons.parquet")
    words = ["--kind", "strip", "--neurons", str(tmp_path / "neurons.parquet"), "--share", "1"]
    found = written(tmp_path, monkeypatch, *words)
    assert [row[:2] for row in found] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert {row[2:] for row in found} == {("remove_direction", 1.0)}


@pytest.mark.parametrize(("key", "layer", "number"), [
    ("num_hidden_layers", "last", 5), ("n_layer", "last", 5), ("n_layer", "0", 0),
])  # fmt: skip
def test_steering_by_hand(tmp_path, monkeypatch, key, layer, number):
    (tmp_path / "config.json").write_text(json.dumps({key: 6}))
    words = ["--kind", "steer", "--checkpoint", str(tmp_path), "--layer", layer, "--scale", "2.5"]
    found = written(tmp_path, monkeypatch, *words)
    assert found == [(number, -1, "subtract_direction", 2.5)]


def test_a_layer_that_the_model_has_not_is_named(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps({"n_layer": 6}))
    words = ["--kind", "steer", "--checkpoint", str(tmp_path), "--layer", "6", "--scale", "1"]
    with pytest.raises(
        InputError, match="a steer row has layer 6, but the model has layers 0 to 5"
    ):
        written(tmp_path, monkeypatch, *words)


def test_patch_and_control_take_the_same_neurons(tmp_path, monkeypatch):
    pairs = [
        [
            row[:3]
            for row in written(tmp_path, monkeypatch, "--kind", kind, "--groups", "TP-", "AN-")
        ]
        for kind in ("patch", "control")
    ]
    assert pairs[0] == pairs[1]
    assert len(pairs[0]) == 3


@pytest.mark.parametrize(
    "options",
    ["--kind ablate", "--kind patch", "--kind scale_keys --top 1", "--kind patch --groups TP"],
)
def test_a_missing_or_wrong_option_ends_the_program_with_a_sentence(
    tmp_path, monkeypatch, capsys, options
):
    with pytest.raises(SystemExit) as caught:
        written(tmp_path, monkeypatch, *options.split())
    assert caught.value.code != 0
    assert "--" in capsys.readouterr().err
    assert not (tmp_path / "plan.parquet").exists()


def test_a_plan_says_in_columns_what_it_is(tmp_path, monkeypatch):
    options = "--kind control --control-of patch_a --groups TP- AN- --direction probe"
    written(tmp_path, monkeypatch, *options.split())
    plan = read_plan(tmp_path / "plan.parquet")
    for column, value in (("kind", "control"), ("control_of", "patch_a"), ("groups", "TP- AN-"),
                          ("direction", "probe"), ("values", "mean")):  # fmt: skip
        assert set(plan[column]) == {value}
    assert plan[["alpha", "beta", "factor", "scale", "share"]].isna().all(axis=None)
    written(tmp_path, monkeypatch, "--kind", "dpo")
    assert set(read_plan(tmp_path / "plan.parquet").columns) == set(plan.columns)
