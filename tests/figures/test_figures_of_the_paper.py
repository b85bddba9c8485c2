"""Figures 1a to 5b: values of their data, and that the charts hold them."""

import numpy as np
import pandas as pd
import pytest
from support.figure_cases import (
    NAMES,
    RANDOM_DIRECTIONS,
    assert_drawn,
    assert_holds,
    assert_holds_exactly,
    datasets,
    group_table,
    heavy_tailed,
    layer_group_table,
    net_curve_table,
    neurons,
    random_layers,
)

from dpo_neurons.figures import (
    cumulative_reduction,
    group_shares,
    layer_projections,
    layer_reduction,
    projection_shifts,
    rank_composition,
    top_activations,
)
from dpo_neurons.neurons.groups import REDUCING

# 1a


def test_layer_projection_is_on_the_unit_direction():
    data = layer_projections.aggregate(
        {
            "before fine-tuning": np.array([[3.0, 4.0], [5.0, 0.0]]),
            "after fine-tuning": np.array([[0.0, 5.0], [-1.0, 7.0]]),
        },
        np.array([6.0, 8.0]),
    )
    assert data["projection"].tolist() == pytest.approx([5.0, 3.0, 4.0, 5.0])
    assert data["layer"].tolist() == [0, 1, 0, 1]
    assert data["state"].tolist() == ["before fine-tuning"] * 2 + ["after fine-tuning"] * 2
    assert_holds_exactly(layer_projections.chart(data, *NAMES), data)


# 1b


def both_curves(table):
    """The two curves of a table's net curve file, by name."""
    data = cumulative_reduction.aggregate(net_curve_table(table))
    return data, dict(iter(data.groupby("curve", sort=False)))


def test_cumulative_reduction_has_peak_and_net():
    data, curves = both_curves(neurons(reduction=[-3.0, 4.0, 1.0, -0.5]))
    published = curves["as published, not corrected for selection"]
    assert published["neurons"].tolist() == [0, 1, 2, 3, 4]
    assert published["cumulative"].tolist() == pytest.approx([0, 4, 5, 4.5, 1.5])
    crossfitted = curves["cross-fitted"]
    assert crossfitted["cumulative"].tolist() == pytest.approx([0, 3.6, 4.5, 4.05, 1.35])
    for curve in curves.values():
        assert curve["point"].tolist() == ["", "", "peak", "", "net"]
    chart = cumulative_reduction.chart(data, *NAMES)
    assert_holds_exactly(chart, data)
    for label in ("peak 5 at neuron 2 (50.0%)", "peak 4.5", "net 1.5"):
        assert f'"{label}"' in chart.to_json()


def test_the_thinned_curve_keeps_the_peak_exactly():
    table = heavy_tailed(8, 4096)
    _, curves = both_curves(table)
    published = curves["as published, not corrected for selection"].set_index("point")
    positive = table["reduction"][table["reduction"] > 0]
    assert len(published) <= 1002
    assert published.loc["peak", "neurons"] == len(positive)
    assert published.loc["peak", "cumulative"] == pytest.approx(positive.sum(), rel=1e-12)
    assert published.loc["net", "cumulative"] == pytest.approx(table["reduction"].sum(), rel=1e-9)


def test_peak_is_at_the_start_if_nothing_reduces():
    data, _ = both_curves(neurons(reduction=[-1.0, -2.0]))
    peaks = data[data["point"] == "peak"]
    assert peaks[["neurons", "cumulative"]].to_numpy().tolist() == [[0, 0], [0, 0]]
    assert_drawn({"1b": cumulative_reduction.chart(data, *NAMES)})


# 2a


def test_group_shares_are_of_the_reducing_four_in_order():
    groups = group_table({"AN-": 0.6, "AN+": 1.0, "TP-": 0.4})
    data = group_shares.aggregate(groups, RANDOM_DIRECTIONS)
    assert data["group"].tolist() == list(REDUCING)
    shares = data["crossfitted_share"].tolist()
    assert shares == pytest.approx([0.4, np.nan, np.nan, 0.6], nan_ok=True)
    assert data["share"].tolist() == pytest.approx([0.42, 0, 0, 0.62])
    assert data["neurons"].tolist() == [10, 0, 0, 10]
    # AN-, the last group, has the first share in the file.
    assert data["random_low"].tolist() == [0.3, 0.15, 0.2, 0.1]
    chart = group_shares.chart(data, *NAMES)
    assert_holds_exactly(chart, data)
    assert "along 1,999 random directions" in chart.to_dict()["title"]["subtitle"][-1]


# 2b


def test_rank_composition_shares_of_each_bin():
    table = neurons(
        reduction=[8.0, 4.0, 3.0, 1.0, 0.5, -9.0], group=["TP-", "AN-", "TN+", "AN-", "AP+", "TP+"]
    )
    data = rank_composition.aggregate(table, top=4, bins=2)
    bins = data[["first_rank", "last_rank", "group"]].values.tolist()
    assert bins == [[1, 2, "TP-"], [1, 2, "AN-"], [3, 4, "TN+"], [3, 4, "AN-"]]
    assert data["share"].tolist() == pytest.approx([2 / 3, 1 / 3, 3 / 4, 1 / 4])
    assert data["share_low"].tolist() == pytest.approx([0, 2 / 3, 0, 3 / 4])
    assert data["share_high"].tolist() == pytest.approx([2 / 3, 1, 3 / 4, 1])
    assert data["reduction_low"].tolist() == [0, 8, 0, 3]
    assert data["reduction_high"].tolist() == [8, 12, 3, 4]
    chart = rank_composition.chart(data, *NAMES)
    assert_holds_exactly(chart, data)
    heights = [panel["encoding"]["y"]["field"] for panel in chart.to_dict()["vconcat"]]
    assert heights == ["reduction_low", "share_low"]


def test_rank_composition_uses_the_neurons_there_are():
    table = neurons(reduction=[2.0, 1.0, -1.0], group=["TP-", "TP-", "AN+"])
    data = rank_composition.aggregate(table, top=10_000, bins=50)
    assert data["last_rank"].tolist() == [1, 2]
    assert data["neurons"].sum() == 2


# 2c, 5a, 5b


def test_shifts_by_reduction_are_of_projections():
    table = neurons(
        reduction=[1.0, 3.0, 2.0],
        projection_pre=[0.1, 0.2, 0.3],
        projection_post=[-0.9, -2.8, -1.7],
        group=["AN-", "TN+", "TP-"],
    )
    data = projection_shifts.aggregate(table, "reduction", 1, 2, "projection")
    assert data["neuron"].tolist() == [1, 2]
    assert data["rank"].tolist() == [1, 2]
    assert data["before"].tolist() == [0.2, 0.3]
    assert data["after"].tolist() == [-2.8, -1.7]
    assert data["reduction"].tolist() == [3.0, 2.0]


def test_shifts_by_cosine_are_of_activations_from_first_to_last():
    table = neurons(
        cosine=[0.1, 0.4, 0.3, 0.2],
        activation_pre=[1.0, 2.0, 3.0, 4.0],
        activation_post=[5.0, 6.0, 7.0, 8.0],
    )
    data = projection_shifts.aggregate(table, "cosine", 2, 3, "activation")
    assert data["rank"].tolist() == [2, 3]
    assert data["neuron"].tolist() == [2, 3]
    assert data[["before", "after"]].values.tolist() == [[3.0, 7.0], [4.0, 8.0]]


def test_shifts_have_a_panel_a_group_with_its_sum():
    table = neurons(reduction=[3.0, 2.0, 1.0, -4.0], group=["AN-", "TP-", "AN-", "TP+"])
    data = projection_shifts.aggregate(table, "reduction", 1, 99, "projection")
    chart = projection_shifts.chart(data, "reduction", "projection", "rank", *NAMES)
    titles = [panel["title"]["text"] for panel in chart.to_dict()["vconcat"]]
    assert titles == [
        "TP₋: 1 neuron, reduction 2 in all",
        "AN₋: 2 neurons, reduction 4 in all",
        "TP₊: 1 neuron, reduction −4 in all",
    ]
    held = pd.concat(datasets(chart)).sort_values("rank")
    held = held[list(data.columns)].reset_index(drop=True)
    pd.testing.assert_frame_equal(held, data, check_dtype=False)


def test_shifts_are_drawn_against_cosine_as_published():
    table = neurons(cosine=[0.3, -0.2, 0.1], reduction=[3.0, 2.0, 1.0], group=["TP-", "AN-", "TP-"])
    data = projection_shifts.aggregate(table, "reduction", 1, 3, "projection")
    panels = projection_shifts.chart(data, "reduction", "projection", "cosine", *NAMES).to_dict()
    for panel in panels["vconcat"]:
        x = panel["layer"][0]["encoding"]["x"]
        assert x["field"] == "cosine"
        assert x["scale"]["domain"] == pytest.approx([-0.21, 0.31])
    assert x["title"].startswith("cosine")
    assert data["cosine"].tolist() == [0.3, -0.2, 0.1]


def test_ranks_beyond_the_last_neuron_give_no_arrows():
    data = projection_shifts.aggregate(neurons(cosine=[0.1]), "cosine", 5, 9, "activation")
    chart = projection_shifts.chart(data, "cosine", "activation", "rank", *NAMES)
    assert data.empty
    assert "toy: it has fewer neurons" in chart.to_json()


# 3


def test_layers_are_stacked_by_cross_fitted_sums_beside_the_published_ones():
    table = neurons(
        layer=[0, 0, 0, 1], group=["TP-", "TP-", "AN+", "AP+"], reduction=[1.0, 2.0, -0.5, 4.0]
    )
    data, layers = layer_reduction.aggregate(layer_group_table(table), table, random_layers(table))
    assert len(data) == 2 * 8, "two layers, eight groups, no row for unchanged"
    sums = data.set_index(["layer", "group"])["crossfitted_reduction"]
    expected = {(0, "TP-"): 2.7, (0, "AN+"): -0.45, (1, "AP+"): 3.6}
    assert sums[sums != 0].to_dict() == pytest.approx(expected)
    assert layers.to_dict("list") == {
        "layer": [0, 1],
        "net": [2.5, 4.0],
        "reducing": [3.0, 4.0],
        "raising": [-0.5, 0.0],
        "random_low": [-0.1, -0.2],
        "random_high": [0.2, 0.4],
        "random_directions": [1999, 1999],
    }
    assert_holds(layer_reduction.chart(data, layers, *NAMES), pd.concat([data, layers]))


def test_the_net_of_a_layer_counts_unchanged_neurons_that_reduce():
    table = neurons(layer=[0, 0], group=["TP-", "unchanged"], reduction=[1.0, 0.25])
    _, layers = layer_reduction.aggregate(layer_group_table(table), table, random_layers(table))
    assert layers["net"].tolist() == [1.25]


# 4


def test_top_activations_are_of_toxic_neurons_by_cosine():
    table = neurons(
        cosine=[0.1, -0.9, 0.3, 0.2],
        activation_pre=[1.0, 2, 3, -4],
        activation_post=[5.0, 6, -7, 8],
    )
    data = top_activations.aggregate(table, top=2)
    assert data["neuron"].tolist() == [2, 3]
    assert data[["before", "after"]].values.tolist() == [[3, -7], [-4, 8]]
    assert len(top_activations.aggregate(table, top=9)) == 3, "no anti-toxic neuron"
    chart = top_activations.chart(data, *NAMES)
    assert_holds_exactly(chart, data)
    assert "negative before fine-tuning 1, after 1" in chart.to_json()
