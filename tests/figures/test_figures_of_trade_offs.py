"""Figures 7, 8 and 10: values of their data, and that the charts hold them."""

import numpy as np
import pandas as pd
import pytest
from support.figure_cases import NAMES, assert_drawn, assert_holds, cancellation_table, neurons

from dpo_neurons.figures import activation_changes, cancellation, net_curve
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
    assert "take back 38% of the reducing" in subtitle
    assert "of 5 neurons, 1 carry 50%, 2 carry 90%, 2 carry 99% of that sum" in subtitle
    assert_holds(chart, data.drop(columns="order").iloc[:2])


def test_layers_beyond_the_ninth_stay_in_order():
    table = neurons(layer=list(range(12)), reduction=np.linspace(1, -1, 12).tolist())
    data = cancellation.aggregate(cancellation_table(table))
    assert data["layer"].tolist() == [*map(str, range(12)), "all"]


def test_a_model_that_only_raises_is_drawn():
    data = cancellation.aggregate(cancellation_table(neurons(reduction=[-1.0, -2.0])))
    chart = cancellation.chart(data, *NAMES)
    assert "take back nothing" in chart.to_json()
    assert_drawn({"7": chart})


# 8


def test_net_curve_names_its_marks_with_their_neurons():
    marks = ["", "neurons_50", "neurons_90", "neurons_99", "peak", "net"]
    curve = pd.DataFrame(
        {
            "neurons": [0, 1000, 2000, 2000, 2500, 4000],
            "cumulative": [0, 5.0, 9.5, 9.5, 10, 1],
            "low": [0, 4.0, 8.5, 8.5, 9, -0.5],
            "high": [0, 6.0, 10.5, 10.5, 11, 2.5],
            "mark": marks,
        }
    )
    data = net_curve.aggregate(curve.replace({"mark": {"": np.nan}}))
    assert data["label"].tolist() == ["", "50 %", "90 %", "99 %", "peak", ""]
    chart = net_curve.chart(data, *NAMES)
    assert_holds(chart, data)
    text = chart.to_json(ensure_ascii=False)
    for label in ("50 %: 1,000", "90 %: 2,000", "99 %: 2,000", "peak: 2,500", "net 1"):
        assert f'"{label}"' in text
    assert "peak 10 [9, 11], net 1 [-0.5, 2.5]" in text
    low, high = chart.to_dict()["layer"][3]["encoding"]["y"]["scale"]["domain"]
    assert low < -0.5
    assert high > 11


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
