"""Figures 7, 8 and 10: values of their data, and that the charts hold them."""

import numpy as np
import pandas as pd
import pytest
from support.figure_cases import NAMES, assert_drawn, assert_holds, cancellation_table, neurons

from dpo_neurons.figures import activation_changes, activations, cancellation, net_curve
from dpo_neurons.neurons.groups import GROUPS

# 7


def test_carriers_are_drawn_as_shares_of_their_layer():
    table = neurons(layer=[0, 0, 0, 0, 1], reduction=[4.0, 4.0, -2.0, 0.0, -1.0])
    data = cancellation.aggregate(cancellation_table(table).iloc[::-1])
    assert data["layer"].tolist() == ["0", "1", "all"]
    assert data["share_neurons_50"].tolist() == [0.25, 0, 0.2]
    assert data["share_neurons_90_high"].tolist() == pytest.approx([0.55, 0, 0.44])
    chart = cancellation.chart(data, *NAMES)
    subtitle = " ".join(chart.to_dict()["title"]["subtitle"])
    assert "take back 38% of what reducing ones do" in subtitle
    assert "of 5 neurons, 1 carry 50%, 2 carry 90%, 2 carry 99% of it" in subtitle
    assert_holds(chart, data.drop(columns="order").iloc[:2])


def test_published_sums_are_marks_beside_the_cross_fitted_ones():
    table = cancellation_table(neurons(layer=[0, 0], reduction=[4.0, -2.0]))
    table["crossfitted_reducing"] *= 0.5
    data = cancellation.aggregate(table)
    assert data["crossfitted_reducing"].tolist() == [2.0, 2.0]
    assert data["reducing"].tolist() == [4.0, 4.0]


def test_layers_beyond_the_ninth_stay_in_order():
    table = neurons(layer=list(range(12)), reduction=np.linspace(1, -1, 12).tolist())
    data = cancellation.aggregate(cancellation_table(table))
    assert data["layer"].tolist() == [*map(str, range(12)), "all"]


def test_a_model_that_only_raises_is_drawn():
    table = cancellation_table(neurons(reduction=[-1.0, -2.0]))
    undefined = table.filter(regex="^crossfitted_(cancelled|neurons)").columns
    table[undefined] = np.nan
    chart = cancellation.chart(cancellation.aggregate(table), *NAMES)
    assert "the interval of what the 2 neurons reduce is not above zero" in chart.to_json()
    assert_drawn({"7": chart})


# 8


def curve_of(low_at_peak):
    """A curve of straight pieces, whose published twin is one higher up to the net."""
    crossfitted = np.array([0, 5.0, 9.0, 9.5, 10, 1])
    return pd.DataFrame(
        {
            "neurons": [0, 1000, 2000, 2000, 2500, 4000],
            "cumulative": [0, 6.0, 10, 10.5, 11, 1],
            "crossfitted_neurons": [0, 1000, 1900, 2000, 2400, 4000],
            "crossfitted": crossfitted,
            "crossfitted_low": [0, 4.0, 8.0, 8.5, low_at_peak, -0.5],
            "crossfitted_high": crossfitted + 1.5,
            "mark": ["", "neurons_50", "neurons_90", "", "peak", "net"],
        }
    )


def test_net_curve_names_its_marks_with_their_neurons():
    data, marks = net_curve.aggregate(curve_of(9.0))
    chart = net_curve.chart(data, marks, *NAMES)
    assert_holds(chart, pd.concat([data, marks]))
    text = chart.to_json(ensure_ascii=False)
    # 9.9 lies nine tenths of the way from 9 at 1,900 to 10 at 2,400.
    for label in ("50 %: 1,000", "90 %: 1,900", "99 %: 2,350", "peak: 2,400", "net 1"):
        assert f'"{label}"' in text
    assert "peak 10 [9, 11.5], net 1 [-0.5, 2.5]" in text
    low, high = next(
        layer["encoding"]["y"]["scale"]["domain"]
        for layer in chart.to_dict()["layer"]
        if "scale" in layer["encoding"]["y"]
    )
    assert low < -0.5
    assert high > 11.5


def test_a_peak_that_may_be_nothing_has_no_neurons_that_carry_it():
    data, marks = net_curve.aggregate(curve_of(-0.1))
    assert marks["mark"].tolist() == ["peak", "net"]
    assert_drawn({"8": net_curve.chart(data, marks, *NAMES)})


# 10


def test_changes_are_counted_in_bins_that_zero_parts():
    table = neurons(
        activation_pre=[1.0, 1.0, 1.0, -2.0, -2.0],
        activation_post=[-0.5, 0.99, -2.0, -0.5, 1.0],
        group=["TP-", "TP-", "TP-", "AN-", "AN-"],
    )
    # With constant 1, −3 and 3 lie at ∓log 4: four bins of log 2, with edges at ∓3, ∓1 and 0.
    data = activation_changes.aggregate(table, bins=4, constant=1.0)
    rows = data[["group", "neurons", "share"]].to_numpy().tolist()
    assert rows == [
        ["AN-", 2, 1.0],
        ["TP-", 2, pytest.approx(2 / 3)],
        ["TP-", 1, pytest.approx(1 / 3)],
    ]
    assert data[["low", "high"]].to_numpy().ravel() == pytest.approx([1, 3, -3, -1, -1, 0])


def test_bins_hold_every_neuron_of_a_group_within_their_edges():
    random = np.random.default_rng(0)
    change = random.standard_t(2, size=5000)
    table = neurons(
        reduction=[1.0] * 5000,
        activation_pre=np.zeros(5000),
        activation_post=change,
        group=[*GROUPS] * 625,
    )
    data = activation_changes.aggregate(table, 60, 0.5)
    assert data.groupby("group")["neurons"].sum().to_dict() == dict.fromkeys(GROUPS, 625)
    for (low, high), cells in data.groupby(["low", "high"]):
        within = (change >= low * 1.000001 - 1e-9) & (change <= high + 1e-9 + abs(high) * 1e-6)
        assert cells["neurons"].sum() == pytest.approx(within.sum(), abs=2)
    assert len(data[["low", "high"]].drop_duplicates()) <= 61


def test_activations_are_counted_by_side_and_stage_and_their_changes_by_what_tells_them():
    table = neurons(
        cosine=[0.4, 0.2, -0.2, 0.0],
        activation_pre=[1.0, 1.0, -1.0, 5.0],
        activation_post=[1.0, -3.0, -1.0, 5.0],
    )
    densities = activations.aggregate_densities(table, constant=1.0)
    # Along: two at 1 before; one at 1 and one at −3 after. The neuron of no side is left out.
    along = densities[densities["side"] == "along"].set_index("stage")
    assert along.loc["pre", "share"] == 1
    assert along.loc["pre", "low"] < 1 <= along.loc["pre", "high"] + 1e-9
    assert along.loc["post", "share"].tolist() == [0.5, 0.5]
    assert densities.groupby(["side", "stage"])["share"].sum().tolist() == [1] * 4
    constants = activations.scale_constants(table)
    assert constants == {"change": 4, "activation_pre": 1}
    cells = activations.aggregate_changes(table, constants)
    assert cells.groupby("quantity")["neurons"].sum().to_dict() == dict.fromkeys(
        ("activation_pre", "cosine"), 4
    )
    (moved,) = cells[(cells["quantity"] == "cosine") & (cells["y_low"] < -1)].itertuples()
    assert (moved.y_low, moved.neurons) == (pytest.approx(-4), 1)
    assert moved.x_low - 1e-9 <= 0.2 < moved.x_high + 1e-9


def test_each_panel_counts_a_group_and_its_mirror():
    table = neurons(
        group=["TP-", "TP-", "TP+", "AN+", "unchanged"],
        activation_post=[0.5, 0.4, 1.5, 0.2, 1.0],
    )
    data = activation_changes.aggregate(table, 10, 0.5)
    chart = activation_changes.chart(data, len(table), 0.5, *NAMES)
    rows = chart.to_dict()["vconcat"]
    titles = [panel["title"]["text"] for row in rows for panel in row["hconcat"]]
    assert titles == [
        "TP₋ 2 (40.0%), TP₊ 1 (20.0%)",
        "TN₊ 0 (0.0%), TN₋ 0 (0.0%)",
        "AP₊ 0 (0.0%), AP₋ 0 (0.0%)",
        "AN₋ 0 (0.0%), AN₊ 1 (20.0%)",
    ]
    assert "1 of 5 neurons are in no group" in chart.to_json()
    assert_holds(chart, data)
