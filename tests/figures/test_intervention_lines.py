"""Interventions as lines: their order and places, controls below their rows, broken rows."""

import numpy as np
import pandas as pd
from support.figure_cases import DPO, NONE, interventions

from dpo_neurons.figures.intervention_lines import (
    CONTROL_LINE,
    LINE,
    PANELS,
    TITLE_LINE,
    describe_lines,
    height_of_lines,
    place_lines,
)

TABLE = interventions(
    NONE,
    ("steer_a", "steer"),
    ("random_a", "control", {"control_of": "steer_a"}),
    DPO,
    ("patch_TP-", "patch"),
    ("patch_AN-", "patch"),
    ("control_AN-", "control", {"control_of": "patch_AN-"}),
    ("control_TP-", "control", {"control_of": "patch_TP-"}),
    ("left_alone", "control", {"control_of": "not measured"}),
    ("future", "new kind"),
)


def test_lines_stand_by_panel_with_each_control_below_its_row():
    data = place_lines(TABLE, ["toxicity"])
    assert data[["panel", "intervention", "label"]].to_numpy().tolist() == [
        ["", "none", "none"],
        ["", "dpo", "dpo"],
        ["patch", "patch_TP-", "patch TP₋"],
        ["patch", "control_TP-", "control"],
        ["patch", "patch_AN-", "patch AN₋"],
        ["patch", "control_AN-", "control"],
        ["control", "left_alone", "left alone"],
        ["steer", "steer_a", "steer a"],
        ["steer", "random_a", "control"],
        ["other", "future", "future"],
    ]
    assert set(data["panel"]) <= set(PANELS)


def test_lines_follow_each_other_below_the_title_of_their_panel():
    data = place_lines(TABLE, ["toxicity"])
    starts = data["place"].diff()
    assert data["place"].iloc[0] == TITLE_LINE + LINE / 2
    assert starts.iloc[1] == LINE
    assert starts.iloc[2] == LINE + TITLE_LINE
    assert starts.iloc[3] == (LINE + CONTROL_LINE) / 2
    assert height_of_lines(data) > data["place"].max()
    assert height_of_lines(data.head(0)) > 0


def test_a_control_knows_its_row():
    table = TABLE.assign(toxicity=np.arange(10) / 10)
    data = place_lines(table, ["toxicity"]).set_index("intervention")
    assert data["row_place"].dropna().to_dict() == {
        "random_a": data.loc["steer_a", "place"],
        "control_TP-": data.loc["patch_TP-", "place"],
        "control_AN-": data.loc["patch_AN-", "place"],
    }
    assert data["row_toxicity"].dropna().to_dict() == {
        "random_a": 0.1, "control_TP-": 0.4, "control_AN-": 0.5
    }  # fmt: skip


def test_nothing_is_joined_to_a_row_whose_model_no_longer_writes():
    broken = TABLE["intervention"].isin(["patch_TP-", "control_AN-"])
    data = place_lines(TABLE.assign(no_longer_writes=broken), ["toxicity"])
    data = data.set_index("intervention")
    assert data.loc[["patch_TP-", "control_AN-"], "role"].tolist() == ["broken", "broken"]
    assert data["row_toxicity"].dropna().index.tolist() == ["random_a"]
    assert data["row_place"].notna().sum() == 3


def test_the_subtitle_explains_only_what_is_drawn():
    plain = place_lines(interventions(NONE, DPO, ("a", "patch")), [])
    assert len(describe_lines(plain)) == 1
    broken = place_lines(TABLE.assign(no_longer_writes=True), [])
    said = " ".join(describe_lines(broken))
    assert "the control of the row above" in said
    assert "no longer writes" in said
    assert pd.unique(broken["role"]).tolist() == ["broken"]
