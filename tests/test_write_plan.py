"""The plans of every kind of intervention, from a small table of contributions."""

import sys

import pandas as pd
import pytest
import write_plan

from dpo_neurons.contributions import COLUMNS
from dpo_neurons.plans import read_plan

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
    return list(read_plan(output).itertuples(index=False, name=None))


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
        ("--kind ablate --top 1 --only-positive", [(1, 0, "set", 0.0)]),
        ("--kind scale_keys --top 1 --factor 5", [(0, 1, "scale_key", 5.0)]),
        ("--kind scale_keys --top 1 --factor -0.5", [(0, 1, "scale_key", -0.5)]),
    ],
)
def test_each_kind_by_hand(tmp_path, monkeypatch, options, rows):
    assert written(tmp_path, monkeypatch, *options.split()) == rows


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
