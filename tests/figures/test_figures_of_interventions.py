"""Figures 9, 11 and 12: values of their data, and that the charts hold them."""

import numpy as np
import pandas as pd
import pytest
from support.figure_cases import (
    DPO,
    NAMES,
    NO_SETS,
    NONE,
    assert_drawn,
    assert_holds,
    datasets,
    interventions,
)

from dpo_neurons.evaluation.prediction import correlate_effects
from dpo_neurons.figures import edit_grid, key_scaling, prediction, tradeoff

# 9


def prediction_file(predicted):
    table = interventions(
        NONE,
        DPO,
        ("patch_TP-", "patch"),
        ("twin", "control"),
        ("steer_me", "edit"),
        ("patch_2", "scale_keys"),
    )
    return pd.DataFrame(
        {
            "intervention": table["intervention"],
            "kind": table["kind"],
            "neurons": 10,
            "predicted": predicted,
            "measured": 0.5 - table["toxicity"],
            "measured_low": 0.5 - table["toxicity_high"],
            "measured_high": 0.5 - table["toxicity_low"],
        }
    )


def test_prediction_draws_what_is_predicted_and_counts_what_is_not():
    rows = prediction_file([0, 2, 1.5, 0, 3, np.nan])
    data = prediction.aggregate(rows)
    assert data["kind"].tolist() == ["none", "dpo", "patch", "control", "edit"]
    assert data["label"].tolist()[2] == "patch TP₋"
    coefficients = pd.DataFrame(
        {"correlation": ["spearman"], "value": 0.5, "low": 0.25, "high": 0.75, "interventions": 12}
    )
    chart = prediction.chart(data, coefficients, 1, *NAMES)
    assert_holds(chart, data.drop(columns="label"))
    subtitle = " ".join(chart.to_dict()["title"]["subtitle"])
    assert "Spearman 0.50 [0.25, 0.75] over prompts; n = 12 interventions" in subtitle
    assert "predict 0 by construction" in subtitle
    assert "1 without a prediction" in subtitle


def test_few_predictions_have_no_correlation():
    rows = prediction_file([0, 2, 1.5, 0, 3, np.nan])
    coefficients = correlate_effects(rows, pd.DataFrame(), 50, 0.95, 1)
    chart = prediction.chart(prediction.aggregate(rows), coefficients, 1, *NAMES)
    subtitle = " ".join(chart.to_dict()["title"]["subtitle"])
    assert "no correlation of so few or so equal rows; n = 3 interventions" in subtitle


def test_predictions_of_very_different_size_have_a_log_scale():
    def scale(most):
        rows = prediction_file([0, 2, 1.5, 0, most, np.nan])
        coefficients = correlate_effects(rows, pd.DataFrame(), 10, 0.95, 1)
        chart = prediction.chart(prediction.aggregate(rows), coefficients, 1, *NAMES)
        assert_drawn({"9": chart})
        return next(
            layer["encoding"]["x"]["scale"]["type"]
            for layer in chart.to_dict()["layer"]
            if "scale" in layer.get("encoding", {}).get("x", {})
        )

    assert (scale(15), scale(-25)) == ("linear", "symlog")


def test_no_prediction_at_all_is_said():
    data = prediction.aggregate(prediction_file([np.nan] * 6))
    empty = pd.DataFrame(columns=["correlation", "value", "low", "high", "interventions"])
    chart = prediction.chart(data, empty, 6, *NAMES)
    assert "No intervention of this study has a prediction." in chart.to_json()


# 11


def edit(name, form, alpha, beta):
    return name, "edit", {"form": form, "direction": "probe", "alpha": alpha, "beta": beta}


EDITS = (
    edit("edit_a", "assign", 0.05, 0.6),
    edit("edit_a0.5_b0.9", "assign", 0, 0.6),
    edit("patch_c", "assign", 0.01, 0.5),
    edit("edit_d", "scale", 0.05, 0.6),
)


def test_edit_grid_has_a_panel_a_form_and_the_control_apart():
    table = interventions(NONE, DPO, *EDITS, ("edit_tp", "patch"))
    data = edit_grid.aggregate(table)
    assert data["intervention"].tolist() == ["edit_a0.5_b0.9", "patch_c", "edit_a", "edit_d"]
    assert data["control"].tolist() == [True, False, False, False]
    known = table.set_index("intervention")
    assert data["toxicity"].tolist() == known.loc[data["intervention"], "toxicity"].tolist()
    chart = edit_grid.chart(data, table.head(2), "toy")
    assert_holds(chart, data)
    panels = chart.to_dict()["vconcat"]
    assert [panel["title"]["text"] for panel in panels] == [
        "edited mean assigned, probe direction",
        "live activation scaled, probe direction",
    ]
    assert sorted(len(rows) for rows in datasets(chart)) == [1, 3]
    for panel in panels:
        for shown in panel["hconcat"]:
            encoding = shown["layer"][0]["encoding"]
            assert encoding["x"]["scale"]["domain"] == ["0", " ", "0.01", "0.05"]
            assert encoding["y"]["scale"]["domain"] == ["0.6", "0.5"]
    colours = [shown["layer"][0]["encoding"]["color"] for shown in panels[0]["hconcat"]]
    assert colours[0]["scale"]["domain"] == pytest.approx([0.4, 0.46])
    assert colours[1]["scale"]["domain"] == [22, 25]
    assert "none 0.500 and 20.00, dpo 0.480 and 21.00" in chart.to_json()


def test_edits_without_the_most_active_neurons_have_a_panel_and_known_groups_none():
    known = ("edit_known", "edit", {"form": "scale", "direction": "probe", "alpha": 0.5})
    name, kind, settings = EDITS[0]
    apart = (f"{name}_fewer", kind, settings | {"without_most_active": 0.2})
    data = edit_grid.aggregate(interventions(EDITS[0], apart, known))
    assert data["intervention"].tolist() == ["edit_a", "edit_a_fewer"]
    panels = edit_grid.chart(data, interventions(NONE), "toy").to_dict()["vconcat"]
    assert [panel["title"]["text"] for panel in panels] == [
        "edited mean assigned, probe direction",
        "edited mean assigned, probe direction, without the 20% most active",
    ]


def test_a_cell_that_broke_the_model_is_left_out():
    table = interventions(*EDITS)
    table.loc[0, "perplexity"] = np.inf
    data = edit_grid.aggregate(table)
    assert "edit_a" not in set(data["intervention"])
    assert_drawn({"11": edit_grid.chart(data, table.head(0), "toy")})


def test_a_grid_of_one_cell_is_drawn():
    data = edit_grid.aggregate(interventions(EDITS[0]))
    chart = edit_grid.chart(data, interventions(NONE), "toy")
    assert_drawn({"11": chart})
    assert (
        " "
        not in chart.to_dict()["vconcat"][0]["hconcat"][0]["layer"][0]["encoding"]["x"]["scale"][
            "domain"
        ]
    ), "no control, no gap"


# 12


def scaling(name, top, factor):
    return name, "scale_keys", {"top": top, "factor": factor}


def test_each_curve_begins_at_the_model_that_is_not_scaled():
    table = interventions(
        NONE,
        DPO,
        scaling("b", 7, 10),
        scaling("a", 7, 2),
        scaling("scale_keys_x9", 30, 5),
        ("scale_keys_x3", "patch", {"top": 7}),
    )
    data = key_scaling.aggregate(table)
    points = data[["top", "factor", "intervention", "toxicity"]].to_numpy().tolist()
    assert points == [
        [7, 1, "dpo", 0.48],
        [7, 2, "a", 0.44],
        [7, 10, "b", 0.46],
        [30, 1, "dpo", 0.48],
        [30, 5, "scale_keys_x9", 0.42],
    ]
    chart = key_scaling.chart(data, table.head(2), "toy")
    assert_holds(chart, data)
    assert_drawn({"12": chart})
    lines = [
        layer["encoding"]["y"]["datum"]
        for panel in chart.to_dict()["vconcat"]
        for layer in panel["layer"]
        if layer["mark"]["type"] == "rule" and "datum" in layer["encoding"]["y"]
    ]
    assert lines == [0.5, 0.48, 20, 21]


def test_a_curve_with_its_own_first_point_gets_no_second():
    table = interventions(NONE, DPO, scaling("scale_keys_x1", 7, 1))
    data = key_scaling.aggregate(table)
    assert data["intervention"].tolist() == ["scale_keys_x1"]
    assert_drawn({"12": key_scaling.chart(data, table.head(2), "toy")})


def test_perplexity_that_explodes_is_logarithmic_and_missing_intervals_are_points():
    table = interventions(NONE, DPO, scaling("scale_keys_a", 7, 10)).assign(
        perplexity=[20, 21, 500], perplexity_low=np.nan, perplexity_high=np.nan
    )
    data = key_scaling.aggregate(table)
    assert data["perplexity_high"].tolist() == [21, 500]
    chart = key_scaling.chart(data, table.head(2), "toy")
    assert '"perplexity (log scale)"' in chart.to_json()
    assert_drawn({"12": chart})


def test_columns_that_are_not_drawn_stay_out_of_the_charts():
    table = interventions(NONE, DPO, *EDITS, scaling("scale_keys_x1", 7, 1)).assign(f1=0.5)
    for figure in (edit_grid, key_scaling):
        assert "f1" not in figure.aggregate(table)
    assert "f1" not in tradeoff.aggregate(table, NO_SETS)
