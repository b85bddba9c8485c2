"""Figure 6: panels, controls joined to patches, scales and labels."""

import numpy as np
import pandas as pd
import pytest
from support.figure_cases import DPO, INTERVENTIONS, NO_SETS, NONE, datasets, interventions

from dpo_neurons.figures import tradeoff


def test_tradeoff_joins_controls_to_patches():
    data = tradeoff.aggregate(INTERVENTIONS, NO_SETS).set_index("intervention")
    assert data["panel"].tolist() == ["", "", *["patch"] * 4, "ablate", "scale_keys"]
    control, patch = data.loc["control_TP-"], data.loc["patch_TP-_AN-"]
    assert (control["controlled_toxicity"], control["controlled_perplexity"]) == (
        patch["toxicity"],
        patch["perplexity"],
    )
    assert data["controlled_toxicity"].notna().sum() == 2
    assert data.loc["patch_TP-_AN-", "label"] == "patch TP₋ AN₋"


def test_a_shift_has_a_panel_with_its_control_and_the_band_of_its_random_sets():
    table = interventions(
        NONE, DPO, ("a", "shift"), ("b", "control", {"control_of": "a"}), ("c", "patch")
    )
    sets = pd.DataFrame(
        {"intervention": ["a"], "random_toxicity_low": [0.2], "random_toxicity_high": [0.3]}
    )
    data = tradeoff.aggregate(table, sets).set_index("intervention")
    assert data["panel"].tolist() == ["", "", "shift", "shift", "patch"]
    assert data.loc["b", "controlled_toxicity"] == data.loc["a", "toxicity"]
    assert data["random_toxicity_low"].notna().tolist() == [False, False, True, False, False]
    chart = tradeoff.chart(tradeoff.aggregate(table, sets), "toy").to_dict()
    assert [panel["title"]["text"] for panel in chart["vconcat"]] == [
        tradeoff.TITLES["patch"], tradeoff.TITLES["shift"]
    ]  # fmt: skip
    assert any("random sets" in line for line in chart["title"]["subtitle"])


def test_tradeoff_leaves_out_what_has_no_finite_measures():
    table = INTERVENTIONS.assign(toxicity_low=np.nan)
    table.loc[6, "perplexity"] = np.inf
    data = tradeoff.aggregate(table, NO_SETS)
    assert "top_5" not in set(data["intervention"])
    assert (data["toxicity_low"] == data["toxicity"]).all()


def test_tradeoff_draws_every_intervention_once_but_references_in_each_panel():
    data = tradeoff.aggregate(INTERVENTIONS, NO_SETS)
    chart = tradeoff.chart(data, "toy")
    drawn = pd.concat(datasets(chart))
    assert drawn["intervention"].value_counts().to_dict() == {
        name: 3 if name in ("none", "dpo") else 1 for name in INTERVENTIONS["intervention"]
    }
    for row in drawn.itertuples():
        known = INTERVENTIONS.set_index("intervention").loc[row.intervention]
        assert (row.toxicity, row.perplexity_high) == (known["toxicity"], known["perplexity_high"])


def test_perplexity_is_logarithmic_only_if_it_doubles():
    def scale(most: float) -> str:
        table = interventions(NONE, ("ablate_a", "ablate")).assign(
            perplexity=[20, most], perplexity_low=[20, most], perplexity_high=[20, most]
        )
        panel = tradeoff.chart(tradeoff.aggregate(table, NO_SETS), "toy").to_dict()["vconcat"][0]
        return panel["layer"][0]["encoding"]["x"]["scale"]["type"]

    assert (scale(39), scale(41)) == ("linear", "log")


def test_labels_of_twenty_equal_interventions_do_not_overlap():
    patches = [(f"patch_{i}", "patch") for i in range(20)]
    table = interventions(NONE, DPO, *patches).assign(toxicity=0.3)
    panel = tradeoff.chart(tradeoff.aggregate(table, NO_SETS), "toy").to_dict()["vconcat"][0]
    (low, high), height = panel["layer"][0]["encoding"]["y"]["scale"]["domain"], panel["height"]
    (rows,) = datasets(tradeoff.chart(tradeoff.aggregate(table, NO_SETS), "toy"))
    pixels = np.sort((rows["label_toxicity"] - low) / (high - low) * height)
    assert np.diff(pixels).min() > 15
    assert pixels.min() >= 0
    assert pixels.max() <= height


def test_labels_begin_right_of_what_their_own_panel_draws():
    table = interventions(NONE, DPO, ("patch_a", "patch"), ("ablate_a", "ablate")).assign(
        perplexity=[10, 10, 100, 20],
        perplexity_low=[10, 10, 100, 20],
        perplexity_high=[10, 10, 100, 20],
    )
    chart = tradeoff.chart(tradeoff.aggregate(table, NO_SETS), "toy").to_dict()
    starts = []
    for panel in chart["vconcat"]:
        texts = [layer for layer in panel["layer"] if layer["mark"]["type"] == "text"]
        (start,) = {layer["encoding"]["x"]["value"] for layer in texts}
        starts.append(start)
    # On a log scale from 10 to 100, with a twentieth of it to either side.
    places = [tradeoff.WIDTH * (0.05 + np.log10(most / 10)) / 1.1 for most in (100, 20)]
    assert np.array(starts) - places == pytest.approx([24, 24])


def test_a_broken_row_does_not_stretch_the_axis_and_says_its_perplexity():
    table = interventions(NONE, DPO, ("patch_a", "patch"), ("patch_b", "patch")).assign(
        perplexity=[20, 25, 28, 28539],
        perplexity_low=[19, 24, 27, 28000],
        perplexity_high=[21, 26, 30, 29000],
        no_longer_writes=[False, False, False, True],
    )
    chart = tradeoff.chart(tradeoff.aggregate(table, NO_SETS), "toy")
    panel = chart.to_dict()["vconcat"][0]
    scale = panel["layer"][0]["encoding"]["x"]["scale"]
    assert (scale["clamp"], scale["type"]) == (True, "linear")
    assert 30 < scale["domain"][1] < 32
    (rows,) = datasets(chart)
    labels = rows.set_index("intervention")["label"]
    assert labels["patch_b"] == "patch b † (28,539)"
    assert labels["patch_a"] == "patch a"
    assert "At the right edge" in chart.to_dict()["title"]["subtitle"][-1]
