"""All figures: size, speed and colours; little or no data still gives a picture."""

import json
import time

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert
from support.figure_cases import (
    INTERVENTIONS,
    NAMES,
    NO_SETS,
    PREDICTION,
    RANDOM_DIRECTIONS,
    assert_drawn,
    cancellation_table,
    group_colours,
    group_table,
    heavy_tailed,
    layer_group_table,
    net_curve_table,
    neurons,
    random_layers,
)

from dpo_neurons.evaluation.prediction import correlate_effects
from dpo_neurons.figures import (
    activation_changes,
    cancellation,
    cumulative_reduction,
    group_shares,
    layer_projections,
    layer_reduction,
    net_curve,
    prediction,
    projection_shifts,
    rank_composition,
    top_activations,
    tradeoff,
)
from dpo_neurons.figures.style import GROUP_COLOURS, MAX_JSON_BYTES
from dpo_neurons.neurons.groups import REDUCING

STATES = tuple(layer_projections.STATES)


def outputs(n_layers: int) -> dict[str, np.ndarray]:
    """Mean MLP outputs, (n_layers, 2), by state."""
    rows = np.arange(2.0 * n_layers).reshape(n_layers, 2)
    return {state: rows * factor for state, factor in zip(STATES, (3, 2, 1), strict=True)}


def charts_of(table: pd.DataFrame) -> dict[str, alt.TopLevelMixin]:
    """Every figure that is drawn from contributions, by its number."""
    shifts = projection_shifts
    by_reduction = shifts.aggregate(table, "reduction", 1, 500, "projection")
    by_cosine = shifts.aggregate(table, "cosine", 1, 200, "activation")
    curve_file = net_curve_table(table)
    cumulative = cumulative_reduction.aggregate(curve_file)
    composition = rank_composition.aggregate(table, 10_000, 50)
    layers = layer_reduction.aggregate(layer_group_table(table), table, random_layers(table))
    activations = top_activations.aggregate(table, 100)
    cancelled = cancellation.aggregate(cancellation_table(table))
    curve = net_curve.aggregate(curve_file)
    changes = activation_changes.aggregate(table, activation_changes.BINS, 0.01)
    return {
        "1b": cumulative_reduction.chart(cumulative, *NAMES),
        "2b": rank_composition.chart(composition, *NAMES),
        "2c": shifts.chart(by_reduction, "reduction", "projection", "rank", *NAMES),
        "3": layer_reduction.chart(*layers, *NAMES),
        "4": top_activations.chart(activations, *NAMES),
        "5a": shifts.chart(by_cosine, "cosine", "activation", "cosine", *NAMES),
        "7": cancellation.chart(cancelled, *NAMES),
        "8": net_curve.chart(*curve, *NAMES),
        "10": activation_changes.chart(changes, len(table), 0.01, *NAMES),
    }


def charts_beside(shares: pd.DataFrame, n_layers: int) -> dict[str, alt.TopLevelMixin]:
    """The figures of the paper that are drawn from other tables, by their number."""
    projections = layer_projections.aggregate(outputs(n_layers), np.array([1.0, 1.0]))
    return {
        "1a": layer_projections.chart(projections, *NAMES),
        "2a": group_shares.chart(group_shares.aggregate(shares, RANDOM_DIRECTIONS), *NAMES),
    }


def test_llama_sized_contributions_are_fast_and_small_and_a_group_has_one_colour():
    table = heavy_tailed(32, 14336)
    start = time.process_time()
    charts = charts_of(table) | charts_beside(group_table(dict.fromkeys(REDUCING, 0.25)), 32)
    assert time.process_time() - start < 5
    specifications = {figure: chart.to_json(indent=None) for figure, chart in charts.items()}
    assert max(map(len, specifications.values())) < MAX_JSON_BYTES / 5

    colours = {figure: group_colours(json.loads(text)) for figure, text in specifications.items()}
    coloured = {figure for figure, of_groups in colours.items() if of_groups}
    assert coloured == {"2a", "2b", "2c", "3", "5a", "10"}
    for of_groups in colours.values():
        assert of_groups == {group: GROUP_COLOURS[group] for group in of_groups}
    assert len(colours["3"]) == 8


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(neurons(reduction=[0.0, 0.0, 0.0], group=["unchanged"] * 3), id="all zero"),
        pytest.param(neurons(reduction=[1.0], group=["AP+"]), id="one neuron"),
        pytest.param(neurons(reduction=[-1.0, -2.0], cosine=[-0.1, -0.2]), id="only raising"),
    ],
)
def test_little_or_nothing_still_makes_a_picture(table: pd.DataFrame):
    charts = charts_of(table)
    if not (table["reduction"] > 0).any():
        assert "no neuron writes less" in charts.pop("2b").to_json()
    if not (table["cosine"] > 0).any():
        assert "no value vector points along" in charts.pop("4").to_json()
    assert_drawn(charts)
    for chart in charts_of(table).values():
        assert vl_convert.vegalite_to_png(chart.to_json())  # fails for a figure without a size


def test_no_shares_and_one_layer_still_make_a_picture():
    assert_drawn(charts_beside(group_table(dict.fromkeys(REDUCING, np.nan)), n_layers=1))


def test_no_intervention_still_makes_a_picture():
    data = tradeoff.aggregate(INTERVENTIONS.assign(toxicity=np.nan), NO_SETS)
    assert_drawn({"6": tradeoff.chart(data, "toy")})


def test_two_interventions_with_a_prediction_still_make_a_picture():
    few = PREDICTION.head(2).assign(predicted=0.0)
    coefficients = correlate_effects(few, pd.DataFrame(), resamples=10, level=0.95, seed=1)
    data = prediction.aggregate(few)
    chart = prediction.chart(data, coefficients, 0, *NAMES)
    assert_drawn({"9": chart})
    assert "no correlation" in chart.to_json()


def test_labels_of_the_net_curve_lie_on_white_outlines():
    chart = charts_of(heavy_tailed(30, 64))["8"].to_dict()
    texts = [layer for layer in chart["layer"] if layer["mark"]["type"] == "text"]
    outlined = [layer["encoding"]["text"]["value"] for layer in texts if "stroke" in layer["mark"]]
    assert [label.split(":")[0] for label in outlined] == ["50 %", "90 %", "99 %", "peak"]
    drawn = [layer["encoding"]["text"]["value"] for layer in texts]
    for label in outlined:
        below, above = (i for i, other in enumerate(drawn) if other == label)
        assert "stroke" in texts[below]["mark"]
        assert "stroke" not in texts[above]["mark"]
