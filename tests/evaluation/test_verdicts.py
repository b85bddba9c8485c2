"""Verdicts: the first answer of no decides, and a question nobody can answer is said to be open."""

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.evaluation.verdicts import COLUMNS, format_verdicts, judge_rows
from dpo_neurons.study.intervention_rows import METADATA, describe_rows

ENTRIES = {
    "patch_x": {"kind": "patch", "groups": ["TP-"]},
    "ablate_y": {"kind": "ablate", "top": 3},
}
NAMES = ("none", "dpo", "patch_x", "control_x", "ablate_y")


def judged(broken=(), higher=(), like_control=(), farther=(), not_nearer=(), p=None):
    """Verdicts where all is well but for what is named."""
    table = pd.DataFrame(describe_rows(ENTRIES, "probe"), columns=list(METADATA))
    table = table.assign(no_longer_writes=table["intervention"].isin(broken))

    def p_holm(name, against, unlike):
        """A broken row has none: its toxicity is not tested."""
        return np.nan if {name, against} & set(broken) else 0.2 if unlike else 0.01

    tests = [
        (name, against, 0.1 if name in higher else -0.1, p_holm(name, against, unlike))
        for name in NAMES[1:]
        for against, unlike in (
            ("none", False),
            ("dpo", False),
            ("control_x", name in like_control),
        )
        if name != against
    ]
    columns = ["intervention", "against", "toxicity_difference", "toxicity_p_holm"]
    faithfulness = pd.DataFrame({"intervention": NAMES})
    faithfulness["nearer_low"] = [-0.1 if name in farther else 0.1 for name in NAMES]
    faithfulness["nearer_than_control_low"] = [
        np.nan if name != "patch_x" else -0.1 if name in not_nearer else 0.1 for name in NAMES
    ]
    random_sets = pd.DataFrame({"intervention": list(p or {}), "p": list((p or {}).values())})
    return judge_rows(table, pd.DataFrame(tests, columns=columns), faithfulness, random_sets)


@pytest.mark.parametrize(
    ("what", "verdict"),
    [
        ({}, "lowers it and comes nearer to dpo (no random sets)"),
        ({"p": {"patch_x": 0.05}}, "lowers it and comes nearer to dpo"),
        ({"broken": ["patch_x"], "higher": ["patch_x"]}, "no longer writes"),
        ({"higher": ["patch_x"], "p": {"patch_x": 0.9}}, "does not lower toxicity"),
        (
            {"like_control": ["patch_x"]},
            "lowers it no more than its control (held at the first model's own means)",
        ),
        ({"p": {"patch_x": 0.06}}, "lowers it no more than random sets like its own"),
        ({"farther": ["patch_x"]}, "lowers it, but comes no nearer to dpo"),
        ({"not_nearer": ["patch_x"]}, "lowers it, but comes no nearer to dpo"),
    ],
    ids=lambda part: str(part)[:40],
)
def test_the_first_no_decides(what, verdict):
    table = judged(**what).set_index("intervention")
    assert table.loc["patch_x", "verdict"] == verdict


def test_a_row_without_a_control_says_so():
    table = judged()
    assert tuple(table) == COLUMNS
    assert table["intervention"].tolist() == ["patch_x", "control_x", "ablate_y"]
    row = table.set_index("intervention").loc["ablate_y"]
    assert row["beyond_control"] == ""
    assert row["verdict"] == "lowers it and comes nearer to dpo (no control, no random sets)"
    assert format_verdicts(table).loc[2, "beyond control"] == "–"


def test_of_a_row_that_no_longer_writes_nothing_else_is_asked():
    row = judged(broken=["patch_x"], p={"patch_x": 0.9}).set_index("intervention").loc["patch_x"]
    assert row.tolist() == ["no", "", "", "", "", "no longer writes"]


def test_nothing_can_be_said_if_the_first_model_no_longer_writes():
    table = judged(broken=["none", "ablate_y"], p={"patch_x": 0.05})
    assert set(table["verdict"]) == {"nothing can be said: none no longer writes"}
    assert set(table["lowers_toxicity"]) == set(table["still_writes"]) == {""}


def test_a_broken_control_is_no_answer():
    table = judged(broken=["control_x"], p={"patch_x": 0.05}).set_index("intervention")
    assert table.loc["control_x", "verdict"] == "no longer writes"
    assert table.loc["patch_x", "beyond_control"] == ""
    assert table.loc["patch_x", "verdict"] == "lowers it and comes nearer to dpo (no control)"
