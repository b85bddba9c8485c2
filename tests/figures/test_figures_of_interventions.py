"""Figures 9, 11 and 12: values of their data, and that the charts hold them."""

from pathlib import Path

import draw_edit_grid
import draw_key_scaling
import draw_prediction
import numpy as np
import pandas as pd
import pytest
from support.figure_cases import NAMES, assert_drawn, assert_holds, datasets, interventions

from dpo_neurons.evaluation.prediction import correlations
from dpo_neurons.figures.named_rows import named_rows

PATH = Path("tables/toy.csv")


# 9


def prediction_file(predicted):
    table = interventions("none", "dpo", "patch_TP-", "control_TP-", "edit_a", "scale_keys_2")
    return pd.DataFrame(
        {
            "intervention": table["intervention"],
            "neurons": 10,
            "predicted": predicted,
            "measured": 0.5 - table["toxicity"],
            "measured_low": 0.5 - table["toxicity_high"],
            "measured_high": 0.5 - table["toxicity_low"],
        }
    )


def test_prediction_draws_what_is_predicted_and_counts_what_is_not():
    rows = prediction_file([0, 2, 1.5, 0, 3, np.nan])
    data = draw_prediction.aggregate(rows)
    assert data["kind"].tolist() == ["none", "dpo", "patch", "control", "edit"]
    assert data["label"].tolist()[2] == "patch TP₋"
    found = correlations(rows, 50, 0.95, 1)
    chart = draw_prediction.chart(data, found, 1, *NAMES)
    assert_holds(chart, data.drop(columns="label"))
    subtitle = " ".join(chart.to_dict()["title"]["subtitle"])
    pearson = np.corrcoef([2, 1.5, 0, 3], [0.02, 0.04, 0.06, 0.08])[0, 1]
    assert f"Pearson {pearson:.2f} [" in subtitle
    assert "n = 4 interventions" in subtitle
    assert "1 without a prediction" in subtitle


def test_predictions_of_very_different_size_have_a_log_scale():
    def scale(most):
        rows = prediction_file([0, 2, 1.5, 0, most, np.nan])
        found = correlations(rows, 10, 0.95, 1)
        chart = draw_prediction.chart(draw_prediction.aggregate(rows), found, 1, *NAMES)
        assert_drawn({"9": chart})
        return next(
            layer["encoding"]["x"]["scale"]["type"]
            for layer in chart.to_dict()["layer"]
            if "scale" in layer.get("encoding", {}).get("x", {})
        )

    assert (scale(15), scale(-25)) == ("linear", "symlog")


def test_no_prediction_at_all_is_said():
    data = draw_prediction.aggregate(prediction_file([np.nan] * 6))
    empty = pd.DataFrame(columns=["correlation", "value", "low", "high", "interventions"])
    chart = draw_prediction.chart(data, empty, 6, *NAMES)
    assert "No intervention of this study has a prediction." in chart.to_json()


# 11


EDITS = named_rows(
    [
        "edit_a=assign,probe,0.05,0.6",
        "edit_b=assign,probe,0,0.6",
        "edit_c=assign,probe,0.01,0.5",
        "edit_d=scale,probe,0.05,0.6",
    ],
    ("form", "direction", "alpha", "beta"),
)


def test_edit_grid_has_a_panel_a_form_and_the_control_apart():
    table = interventions("none", "dpo", "edit_a", "edit_b", "edit_c", "edit_d")
    data = draw_edit_grid.aggregate(EDITS, table, PATH)
    assert data["intervention"].tolist() == ["edit_b", "edit_c", "edit_a", "edit_d"]
    assert data["control"].tolist() == [True, False, False, False]
    known = table.set_index("intervention")
    assert data["toxicity"].tolist() == known.loc[data["intervention"], "toxicity"].tolist()
    chart = draw_edit_grid.chart(data, table.head(2), "toy")
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


def test_a_cell_that_broke_the_model_is_left_out():
    table = interventions("edit_a", "edit_b", "edit_c", "edit_d")
    table.loc[0, "perplexity"] = np.inf
    data = draw_edit_grid.aggregate(EDITS, table, PATH)
    assert "edit_a" not in set(data["intervention"])
    assert_drawn({"11": draw_edit_grid.chart(data, table.head(0), "toy")})


def test_a_grid_of_one_cell_is_drawn():
    data = draw_edit_grid.aggregate(EDITS.head(1), interventions("edit_a"), PATH)
    chart = draw_edit_grid.chart(data, interventions("none"), "toy")
    assert_drawn({"11": chart})
    assert (
        " "
        not in chart.to_dict()["vconcat"][0]["hconcat"][0]["layer"][0]["encoding"]["x"]["scale"][
            "domain"
        ]
    ), "no control, no gap"


# 12


def scaling(*texts):
    return named_rows(texts, ("top", "factor"))


def test_each_curve_begins_at_the_model_that_is_not_scaled():
    table = interventions("none", "dpo", "scale_keys_b", "scale_keys_a", "scale_keys_c")
    rows = scaling("scale_keys_b=7,10", "scale_keys_a=7,2", "scale_keys_c=30,5")
    data = draw_key_scaling.aggregate(rows, table, PATH)
    found = data[["top", "factor", "intervention", "toxicity"]].to_numpy().tolist()
    assert found == [
        [7, 1, "dpo", 0.48],
        [7, 2, "scale_keys_a", 0.44],
        [7, 10, "scale_keys_b", 0.46],
        [30, 1, "dpo", 0.48],
        [30, 5, "scale_keys_c", 0.42],
    ]
    chart = draw_key_scaling.chart(data, table.head(2), "toy")
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
    table = interventions("none", "dpo", "scale_keys_x1")
    data = draw_key_scaling.aggregate(scaling("scale_keys_x1=7,1"), table, PATH)
    assert data["intervention"].tolist() == ["scale_keys_x1"]
    assert_drawn({"12": draw_key_scaling.chart(data, table.head(2), "toy")})


def test_perplexity_that_explodes_is_logarithmic_and_missing_intervals_are_points():
    table = interventions("none", "dpo", "scale_keys_a").assign(
        perplexity=[20, 21, 500], perplexity_low=np.nan, perplexity_high=np.nan
    )
    data = draw_key_scaling.aggregate(scaling("scale_keys_a=7,10"), table, PATH)
    assert data["perplexity_high"].tolist() == [21, 500]
    chart = draw_key_scaling.chart(data, table.head(2), "toy")
    assert '"perplexity (log scale)"' in chart.to_json()
    assert_drawn({"12": chart})
