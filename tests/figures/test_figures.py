"""All figures: their size, speed and colours, and that they are drawn of little or nothing."""

import json
import time

import altair as alt
import draw_activation_changes
import draw_cancellation
import draw_cumulative_reduction
import draw_group_shares
import draw_layer_projections
import draw_layer_reduction
import draw_net_curve
import draw_prediction
import draw_projection_shifts
import draw_rank_composition
import draw_top_activations
import draw_tradeoff
import numpy as np
import pandas as pd
import pytest
from support.figure_cases import (
    INTERVENTIONS,
    NAMES,
    PREDICTION,
    assert_drawn,
    cancellation_table,
    group_colours,
    group_table,
    heavy_tailed,
    net_curve,
    neurons,
)

from dpo_neurons.evaluation.prediction import correlations
from dpo_neurons.figures.style import GROUP_COLOURS, MAX_JSON_BYTES
from dpo_neurons.neurons.groups import REDUCING

STATES = tuple(draw_layer_projections.STATES)


def outputs(n_layers: int) -> dict[str, np.ndarray]:
    """Mean MLP outputs, (n_layers, 2), by name of the model."""
    rows = np.arange(2.0 * n_layers).reshape(n_layers, 2)
    return {state: rows * factor for state, factor in zip(STATES, (3, 2, 1), strict=True)}


def charts_of(table: pd.DataFrame) -> dict[str, alt.TopLevelMixin]:
    """Every figure that is drawn from contributions."""
    shifts = draw_projection_shifts
    by_reduction = shifts.aggregate(table, "reduction", 1, 500, "projection")
    by_cosine = shifts.aggregate(table, "cosine", 1, 200, "activation")
    cumulative = draw_cumulative_reduction.aggregate(table)
    composition = draw_rank_composition.aggregate(table, 10_000, 50)
    layers = draw_layer_reduction.aggregate(table)
    activations = draw_top_activations.aggregate(table, 100)
    cancellation = draw_cancellation.aggregate(cancellation_table(table))
    curve = draw_net_curve.aggregate(net_curve(table))
    changes = draw_activation_changes.aggregate(table, draw_activation_changes.BINS, 0.01)
    return {
        "1b": draw_cumulative_reduction.chart(cumulative, *NAMES),
        "2b": draw_rank_composition.chart(composition, *NAMES),
        "2c": shifts.chart(by_reduction, "reduction", "projection", *NAMES),
        "3": draw_layer_reduction.chart(layers, *NAMES),
        "4": draw_top_activations.chart(activations, *NAMES),
        "5a": shifts.chart(by_cosine, "cosine", "activation", *NAMES),
        "7": draw_cancellation.chart(cancellation, *NAMES),
        "8": draw_net_curve.chart(curve, *NAMES),
        "10": draw_activation_changes.chart(changes, len(table), 0.01, *NAMES),
    }


def charts_beside(shares: pd.DataFrame, n_layers: int) -> dict[str, alt.TopLevelMixin]:
    """The figures of the paper that are drawn from something else."""
    projections = draw_layer_projections.aggregate(outputs(n_layers), np.array([1.0, 1.0]))
    return {
        "1a": draw_layer_projections.chart(projections, *NAMES),
        "2a": draw_group_shares.chart(draw_group_shares.aggregate(shares), *NAMES),
    }


def test_llama_sized_contributions_are_fast_and_small_and_a_group_has_one_colour():
    table = heavy_tailed(32, 14336)
    start = time.process_time()
    charts = charts_of(table) | charts_beside(group_table(dict.fromkeys(REDUCING, 0.25)), 32)
    assert time.process_time() - start < 5
    specifications = {figure: chart.to_json(indent=None) for figure, chart in charts.items()}
    assert max(map(len, specifications.values())) < MAX_JSON_BYTES / 5

    colours = {figure: group_colours(json.loads(text)) for figure, text in specifications.items()}
    coloured = {figure for figure, found in colours.items() if found}
    assert coloured == {"2a", "2b", "2c", "3", "5a", "10"}
    for found in colours.values():
        assert found == {group: GROUP_COLOURS[group] for group in found}
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
    assert_drawn(charts_of(table))


def test_no_shares_and_one_layer_still_make_a_picture():
    assert_drawn(charts_beside(group_table(dict.fromkeys(REDUCING, np.nan)), n_layers=1))


def test_no_intervention_still_makes_a_picture():
    data = draw_tradeoff.aggregate(INTERVENTIONS.assign(toxicity=np.nan))
    assert_drawn({"6": draw_tradeoff.chart(data, "toy")})


def test_two_interventions_with_a_prediction_still_make_a_picture():
    few = PREDICTION.head(2).assign(predicted=0.0)
    found = correlations(few, resamples=10, level=0.95, seed=1)
    data = draw_prediction.aggregate(few)
    chart = draw_prediction.chart(data, found, 0, *NAMES)
    assert_drawn({"9": chart})
    assert "no correlation" in chart.to_json()
