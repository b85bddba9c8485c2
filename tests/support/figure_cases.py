"""Helpers for tests of figures: small tables, and reading a chart's specification."""

import json
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import vl_convert

from dpo_neurons.neurons.cancellation import tabulate_cancellation
from dpo_neurons.neurons.contributions import compute_contributions
from dpo_neurons.neurons.cross_fitted_curve import STATISTICS as CROSSFITTED
from dpo_neurons.neurons.groups import GROUPS, REDUCING
from dpo_neurons.neurons.resampled_curve import choose_ranks

NAMES = ("toy", "probe")


def neurons(**columns: list) -> pd.DataFrame:
    """A small contributions table; rank follows the reduction."""
    table = pd.DataFrame(columns)
    n = len(table)
    defaults = {
        "layer": np.zeros(n, int),
        "neuron": np.arange(n),
        "cosine": np.linspace(0.5, 0.1, n),
        "group": ["TP-"] * n,
        "reduction": np.linspace(1, 0.1, n),
        "projection_pre": np.ones(n),
        "projection_post": np.zeros(n),
        "activation_pre": np.ones(n),
        "activation_post": np.zeros(n),
    }
    for name, values in defaults.items():
        if name not in table:
            table[name] = values
    table["rank"] = table["reduction"].rank(ascending=False, method="first").astype(int)
    table["group"] = table["group"].astype("category")
    return table


def heavy_tailed(n_layers: int, d_mlp: int) -> pd.DataFrame:
    """Contributions as a model has them: mostly small, a few large, all groups."""
    rng = np.random.default_rng(0)
    n = n_layers * d_mlp
    pre = np.where(rng.random(n) < 0.13, rng.exponential(0.3, n), -0.17 * rng.random(n))
    cosine, change = rng.normal(0, 0.05, n), rng.standard_t(2.5, n) * 0.02
    names = np.array(["AN+", "AN-", "AP-", "AP+", "TN-", "TN+", "TP+", "TP-"])
    reduces = -change * cosine > 0
    return neurons(
        layer=np.repeat(np.arange(n_layers), d_mlp),
        neuron=np.tile(np.arange(d_mlp), n_layers),
        cosine=cosine,
        group=names[4 * (cosine > 0) + 2 * (pre >= 0) + reduces],
        activation_pre=pre,
        activation_post=pre + change,
        projection_pre=pre * cosine,
        projection_post=(pre + change) * cosine,
        reduction=-change * cosine,
    )


PARAMETERS = (
    "control_of", "direction", "form", "without_most_active", "alpha", "beta", "top", "factor",
)  # fmt: skip
"""Columns of the table of interventions that apply only to some kinds."""


def interventions(*rows: tuple[str, str] | tuple[str, str, dict[str, Any]]) -> pd.DataFrame:
    """A table of interventions, toxicity falling and perplexity rising from row to row.

    rows: name and kind of each, and its PARAMETERS if it has any.
    """
    table = pd.DataFrame(
        [dict.fromkeys(PARAMETERS) | dict(*parameters) for _, _, *parameters in rows]
    )
    table.insert(0, "intervention", [name for name, *_ in rows])
    table.insert(1, "kind", [kind for _, kind, *_ in rows])
    table["no_longer_writes"] = False
    table["toxicity"] = 0.5 - 0.02 * np.arange(len(rows))
    table["perplexity"] = 20.0 + np.arange(len(rows))
    for measure, half in (("toxicity", 0.01), ("perplexity", 0.5)):
        table[f"{measure}_low"] = table[measure] - half
        table[f"{measure}_high"] = table[measure] + half
    return table


NONE, DPO = ("none", "none"), ("dpo", "dpo")
INTERVENTIONS = interventions(
    NONE,
    DPO,
    ("patch_TP-", "patch"),
    ("twin", "control", {"control_of": "patch_TP-"}),
    ("patch_TP-_AN-", "patch"),
    ("control_TP-", "control", {"control_of": "patch_TP-_AN-"}),
    ("top_5", "ablate"),
    ("edit_keys", "scale_keys", {"top": 7, "factor": 10}),
)
"""A table whose names, as far as they say anything, contradict the columns."""
NO_SETS = pd.DataFrame(columns=["intervention", "random_toxicity_low", "random_toxicity_high"])
"""The table of random sets of a study that has none."""


def group_table(shares: dict[str, float]) -> pd.DataFrame:
    """A groups file with the given cross-fitted shares; the published ones are 2 % higher."""
    table = pd.DataFrame({"group": list(shares), "crossfitted_share": list(shares.values())})
    share = table["crossfitted_share"] + 0.02
    return table.assign(
        neurons=10,
        share=share,
        reduction=2 * share,
        crossfitted_reduction=2 * table["crossfitted_share"],
        crossfitted_share_low=table["crossfitted_share"] - 0.05,
        crossfitted_share_high=table["crossfitted_share"] + 0.05,
    )


SAMPLES = pd.DataFrame({"intervention": ["patch_TP-", "dpo", "none"], "samples": 25})
for number, measure in enumerate(("expected_maximum", "toxicity_probability"), start=2):
    value = number * np.array([0.06, 0.08, 0.12])
    SAMPLES[measure], SAMPLES[f"{measure}_low"] = value, value - 0.05
    SAMPLES[f"{measure}_high"] = value + 0.05
"""A table of samples of three rows, in another order than INTERVENTIONS."""
RANDOM_DIRECTIONS = pd.DataFrame(
    {
        "quantity": ["net_reduction", *(f"share_{group}" for group in REDUCING[::-1])],
        "random_low": [-9.0, 0.1, 0.2, 0.15, 0.3],
        "random_high": [9.0, 0.3, 0.4, 0.35, 0.5],
        "random_directions": 1999,
    }
)
"""A file of random directions, its shares in another order than the groups."""


def random_layers(contributions: pd.DataFrame) -> pd.DataFrame:
    """A file of random directions by layer, the last layer first; ends grow with the layer."""
    layers = sorted(contributions["layer"].unique(), reverse=True)
    low = [-0.1 * (layer + 1) for layer in layers]
    table = pd.DataFrame({"layer": layers, "random_low": low, "random_directions": 1999})
    return table.assign(random_high=-2 * table["random_low"])


def layer_group_table(contributions: pd.DataFrame) -> pd.DataFrame:
    """A file of layers and groups, whose cross-fitted sums are nine tenths of the published."""
    by = contributions.groupby(["layer", "group"], observed=True)["reduction"]
    layers = sorted(contributions["layer"].unique())
    index = pd.MultiIndex.from_product([layers, GROUPS], names=["layer", "group"])
    sums = by.agg(neurons="size", reduction="sum").reindex(index, fill_value=0).reset_index()
    return sums.assign(crossfitted_reduction=0.9 * sums["reduction"])


def datasets(chart: alt.TopLevelMixin) -> list[pd.DataFrame]:
    """The data sets in a chart's JSON, without the empty row behind a line at zero."""
    return rows_in(chart.to_json())


def rows_in(specification: str) -> list[pd.DataFrame]:
    """The data sets in a specification, without the empty row behind a line at zero."""
    held = json.loads(specification)["datasets"].values()
    return [pd.DataFrame(rows) for rows in held if rows != [{}]]


def assert_holds_exactly(chart: alt.TopLevelMixin, data: pd.DataFrame) -> None:
    """Check that the chart holds one data set, and that it equals the aggregated data."""
    (held,) = datasets(chart)
    assert set(held.columns) == set(data.columns)
    held = held[list(data.columns)]
    pd.testing.assert_frame_equal(held, data.reset_index(drop=True), check_dtype=False)


def group_colours(node: Any) -> dict[str, str]:
    """Colour of each group that a specification states anywhere; one colour a group."""
    colours: dict[str, str] = {}
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    if isinstance(node, dict) and node.get("field") == "group" and "range" in node.get("scale", {}):
        colours |= dict(zip(node["scale"]["domain"], node["scale"]["range"], strict=True))
    for child in children:
        for group, colour in group_colours(child).items():
            assert colours.setdefault(group, colour) == colour
    return colours


def assert_drawn(charts: dict[str, alt.TopLevelMixin]) -> None:
    """Check that the charts render with labels, and that nothing lies at NaN."""
    for figure, chart in charts.items():
        specification = chart.to_json()
        assert "NaN" not in specification, figure
        assert "Infinity" not in specification, figure
        vector = vl_convert.vegalite_to_svg(specification)
        assert "NaN" not in vector, figure
        assert vector.count("<text") > 4, figure


def assert_holds(chart: alt.TopLevelMixin, data: pd.DataFrame) -> None:
    """Check that the chart's data sets together hold exactly the rows of the aggregated data."""
    held = pd.concat(datasets(chart))[list(data.columns)].drop_duplicates()
    expected = data.drop_duplicates().reset_index(drop=True)
    held = held.sort_values(list(held.columns), ignore_index=True)
    expected = expected.sort_values(list(held.columns), ignore_index=True)
    pd.testing.assert_frame_equal(held, expected, check_dtype=False)


def cancellation_table(contributions: pd.DataFrame) -> pd.DataFrame:
    """A cancellation file whose intervals reach a tenth to either side."""
    table = tabulate_cancellation(contributions)
    table = table.assign(**{f"crossfitted_{name}": table[name] for name in CROSSFITTED})
    ends = (("low", 0.9), ("high", 1.1))
    names = ["net", *(f"crossfitted_{name}" for name in CROSSFITTED)]
    return table.assign(**{f"{name}_{end}": by * table[name] for name in names for end, by in ends})


def net_curve_table(contributions: pd.DataFrame) -> pd.DataFrame:
    """A net curve file; the cross-fitted curve is a tenth lower, its interval a tenth wide."""
    falling = -np.sort(-contributions["reduction"].to_numpy())
    ranks = choose_ranks(falling)
    places = {mark: [place] for mark, place in ranks.marks.items()} | {"": ranks.points}
    rows = [pd.DataFrame({"neurons": at, "mark": mark}) for mark, at in places.items()]
    curve = pd.concat(rows).sort_values("neurons", kind="stable", ignore_index=True)
    curve["cumulative"] = np.append(0.0, np.cumsum(falling))[curve["neurons"]]
    crossfitted = 0.9 * curve["cumulative"]
    return curve.assign(
        crossfitted_neurons=curve["neurons"] * 1.0,
        crossfitted=crossfitted,
        crossfitted_low=crossfitted - 0.1 * crossfitted.abs(),
        crossfitted_high=crossfitted + 0.1 * crossfitted.abs(),
    )


PREDICTION = pd.DataFrame(
    {
        "intervention": INTERVENTIONS["intervention"],
        "kind": INTERVENTIONS["kind"],
        "neurons": 10,
        "predicted": np.append(np.arange(7.0) ** 2, np.nan),
        "measured": 0.5 - INTERVENTIONS["toxicity"],
        "measured_low": 0.5 - INTERVENTIONS["toxicity_high"],
        "measured_high": 0.5 - INTERVENTIONS["toxicity_low"],
    }
)


def subspace_table(rows: int, layers: int = 3, d_mlp: int = 40) -> pd.DataFrame:
    """Contributions along a made-up subspace."""
    rng = np.random.default_rng(4)
    before, after = rng.normal(size=(2, layers, d_mlp))
    along = rng.normal(size=(2, rows, layers, d_mlp))
    return compute_contributions(before, after, *along, np.full((layers, d_mlp), 9.0), "v1")


def written_vega(folder):
    """A stand-in for the scripts that draw a page."""
    path = folder / "vega.js"
    path.write_text("function vegaEmbed() {}")
    return path
