"""The figures: values of their data, what the JSON holds, and the files that the programs write."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import altair as alt
import draw_cumulative_reduction
import draw_group_shares
import draw_layer_projections
import draw_layer_reduction
import draw_projection_shifts
import draw_rank_composition
import draw_top_activations
import draw_tradeoff
import h5py
import numpy as np
import pandas as pd
import pytest
import vl_convert
from safetensors.numpy import save_file

from dpo_neurons.errors import InputError
from dpo_neurons.figure_style import GROUP_COLOURS, MAX_JSON_BYTES
from dpo_neurons.groups import REDUCING

NAMES = ("toy", "probe")
STATES = tuple(draw_layer_projections.STATES)


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


def interventions(*names: str) -> pd.DataFrame:
    """A table of interventions, toxicity falling and perplexity rising from row to row."""
    table = pd.DataFrame({"intervention": names})
    table["toxicity"] = 0.5 - 0.02 * np.arange(len(names))
    table["perplexity"] = 20.0 + np.arange(len(names))
    for measure, half in (("toxicity", 0.01), ("perplexity", 0.5)):
        table[f"{measure}_low"] = table[measure] - half
        table[f"{measure}_high"] = table[measure] + half
    return table


INTERVENTIONS = interventions(
    "none", "dpo", "patch_TP-", "control_TP-", "patch_TP-_AN-", "control_TP-_AN-", "ablate_top_5",
    "scale_keys_10",
)  # fmt: skip


def group_table(shares: dict[str, float]) -> pd.DataFrame:
    """A groups file with the given shares."""
    table = pd.DataFrame({"group": list(shares), "share": list(shares.values())})
    return table.assign(
        neurons=10,
        reduction=2 * table["share"],
        share_low=table["share"] - 0.05,
        share_high=table["share"] + 0.05,
    )


def outputs(n_layers: int) -> dict[str, np.ndarray]:
    """Mean MLP outputs, (n_layers, 2), by name of the model."""
    rows = np.arange(2.0 * n_layers).reshape(n_layers, 2)
    return {state: rows * factor for state, factor in zip(STATES, (3, 2, 1), strict=True)}


def datasets(chart: alt.TopLevelMixin) -> list[pd.DataFrame]:
    """The data in a chart's JSON, the empty row behind a line at zero left out."""
    return rows_in(chart.to_json())


def rows_in(specification: str) -> list[pd.DataFrame]:
    """The same of a specification."""
    found = json.loads(specification)["datasets"].values()
    return [pd.DataFrame(rows) for rows in found if rows != [{}]]


def assert_holds_exactly(chart: alt.TopLevelMixin, data: pd.DataFrame) -> None:
    """Check that the chart's one data set is the aggregated data, values and columns."""
    (held,) = datasets(chart)
    assert set(held.columns) == set(data.columns)
    held = held[list(data.columns)]
    pd.testing.assert_frame_equal(held, data.reset_index(drop=True), check_dtype=False)


def group_colours(node: Any) -> dict[str, str]:
    """Every group's colour that a chart's specification states, anywhere in it."""
    found: dict[str, str] = {}
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    if isinstance(node, dict) and node.get("field") == "group" and "range" in node.get("scale", {}):
        found |= dict(zip(node["scale"]["domain"], node["scale"]["range"], strict=True))
    for child in children:
        for group, colour in group_colours(child).items():
            assert found.setdefault(group, colour) == colour
    return found


# 1a


def test_layer_projection_is_on_the_unit_direction():
    data = draw_layer_projections.aggregate(
        {
            "before": np.array([[3.0, 4.0], [5.0, 0.0]]),
            "after": np.array([[0.0, 5.0], [-1.0, 7.0]]),
        },
        np.array([6.0, 8.0]),
    )
    assert data["projection"].tolist() == pytest.approx([5.0, 3.0, 4.0, 5.0])
    assert data["layer"].tolist() == [0, 1, 0, 1]
    assert data["state"].tolist() == ["before", "before", "after", "after"]
    assert_holds_exactly(draw_layer_projections.chart(data, *NAMES), data)


# 1b


def test_cumulative_reduction_has_peak_and_net():
    data = draw_cumulative_reduction.aggregate(neurons(reduction=[-3.0, 4.0, 1.0, -0.5]))
    assert data["neurons"].tolist() == [0, 1, 2, 3, 4, 4]
    assert data["cumulative"].tolist() == pytest.approx([0, 4, 5, 4.5, 1.5, 1.5])
    assert data["point"].tolist() == ["", "", "peak", "", "", "net"]
    chart = draw_cumulative_reduction.chart(data, *NAMES)
    assert_holds_exactly(chart, data)
    assert "peak 5 at neuron 2 (50.0%)" in chart.to_json()
    assert "net 1.5" in chart.to_json()


def test_thinned_curve_keeps_the_peak_exactly():
    table = heavy_tailed(8, 4096)
    data = draw_cumulative_reduction.aggregate(table).set_index("point")
    positive = table["reduction"][table["reduction"] > 0]
    assert len(data) <= 1002
    assert data.loc["peak", "neurons"] == len(positive)
    assert data.loc["peak", "cumulative"] == pytest.approx(positive.sum(), rel=1e-12)
    assert data.loc["net", "cumulative"] == pytest.approx(table["reduction"].sum(), rel=1e-9)
    assert data.loc[""]["neurons"].iloc[[0, -1]].tolist() == [0, len(table)]


def test_peak_is_at_the_start_if_nothing_reduces():
    data = draw_cumulative_reduction.aggregate(neurons(reduction=[-1.0, -2.0]))
    assert data[data["point"] == "peak"][["neurons", "cumulative"]].values.tolist() == [[0, 0]]
    assert data["cumulative"].iloc[-1] == -3.0


# 2a


def test_group_shares_are_of_the_reducing_four_in_order():
    data = draw_group_shares.aggregate(group_table({"AN-": 0.6, "AN+": 1.0, "TP-": 0.4}))
    assert data["group"].tolist() == list(REDUCING)
    assert data["share"].tolist() == [0.4, 0, 0, 0.6]
    assert data["neurons"].tolist() == [10, 0, 0, 10]
    assert_holds_exactly(draw_group_shares.chart(data, *NAMES), data)


# 2b


def test_rank_composition_shares_of_each_bin():
    table = neurons(
        reduction=[8.0, 4.0, 3.0, 1.0, 0.5, -9.0], group=["TP-", "AN-", "TN+", "AN-", "AP+", "TP+"]
    )
    data = draw_rank_composition.aggregate(table, top=4, bins=2)
    bins = data[["first_rank", "last_rank", "group"]].values.tolist()
    assert bins == [[1, 2, "TP-"], [1, 2, "AN-"], [3, 4, "TN+"], [3, 4, "AN-"]]
    assert data["share"].tolist() == pytest.approx([2 / 3, 1 / 3, 3 / 4, 1 / 4])
    assert data["low"].tolist() == pytest.approx([0, 2 / 3, 0, 3 / 4])
    assert data["high"].tolist() == pytest.approx([2 / 3, 1, 3 / 4, 1])
    assert_holds_exactly(draw_rank_composition.chart(data, *NAMES), data)


def test_rank_composition_uses_the_neurons_there_are():
    table = neurons(reduction=[2.0, 1.0, -1.0], group=["TP-", "TP-", "AN+"])
    data = draw_rank_composition.aggregate(table, top=10_000, bins=50)
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
    data = draw_projection_shifts.aggregate(table, "reduction", 1, 2, "projection")
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
    data = draw_projection_shifts.aggregate(table, "cosine", 2, 3, "activation")
    assert data["rank"].tolist() == [2, 3]
    assert data["neuron"].tolist() == [2, 3]
    assert data[["before", "after"]].values.tolist() == [[3.0, 7.0], [4.0, 8.0]]


def test_shifts_have_a_panel_a_group_with_its_sum():
    table = neurons(reduction=[3.0, 2.0, 1.0, -4.0], group=["AN-", "TP-", "AN-", "TP+"])
    data = draw_projection_shifts.aggregate(table, "reduction", 1, 99, "projection")
    chart = draw_projection_shifts.chart(data, "reduction", "projection", *NAMES)
    titles = [panel["title"]["text"] for panel in chart.to_dict()["vconcat"]]
    assert titles == [
        "TP₋: 1 neuron, reduction 2 in all",
        "AN₋: 2 neurons, reduction 4 in all",
        "TP₊: 1 neuron, reduction −4 in all",
    ]
    held = pd.concat(datasets(chart)).sort_values("rank")
    held = held[list(data.columns)].reset_index(drop=True)
    pd.testing.assert_frame_equal(held, data, check_dtype=False)


def test_ranks_beyond_the_last_neuron_give_no_arrows():
    data = draw_projection_shifts.aggregate(neurons(cosine=[0.1]), "cosine", 5, 9, "activation")
    chart = draw_projection_shifts.chart(data, "cosine", "activation", *NAMES)
    assert data.empty
    assert chart.to_dict()["title"]["text"] == "Shifts in activation, no neurons"


# 3


def test_layer_reduction_sums_by_group_and_fills_with_zero():
    table = neurons(
        layer=[0, 0, 0, 1], group=["TP-", "TP-", "AN+", "AP+"], reduction=[1.0, 2.0, -0.5, 4.0]
    )
    data = draw_layer_reduction.aggregate(table)
    assert len(data) == 2 * 8, "two layers, eight groups, no row for unchanged"
    sums = data.set_index(["layer", "group"])["reduction"]
    assert sums[sums != 0].to_dict() == {(0, "TP-"): 3.0, (0, "AN+"): -0.5, (1, "AP+"): 4.0}
    assert data["neurons"].sum() == 4
    assert_holds_exactly(draw_layer_reduction.chart(data, *NAMES), data)


def test_layer_reduction_net_counts_unchanged_neurons_that_reduce():
    table = neurons(layer=[0, 0], group=["TP-", "unchanged"], reduction=[1.0, 0.25])
    data = draw_layer_reduction.aggregate(table)
    assert data["reduction"].sum() == 1.25
    assert "unchanged" in set(data["group"])


# 4


def test_top_activations_are_of_toxic_neurons_by_cosine():
    table = neurons(
        cosine=[0.1, -0.9, 0.3, 0.2],
        activation_pre=[1.0, 2, 3, -4],
        activation_post=[5.0, 6, -7, 8],
    )
    data = draw_top_activations.aggregate(table, top=2)
    assert data["neuron"].tolist() == [2, 3]
    assert data[["before", "after"]].values.tolist() == [[3, -7], [-4, 8]]
    assert len(draw_top_activations.aggregate(table, top=9)) == 3, "no anti-toxic neuron"
    chart = draw_top_activations.chart(data, *NAMES)
    assert_holds_exactly(chart, data)
    assert "negative before fine-tuning 1, after 1" in chart.to_json()


# 6


def test_tradeoff_joins_controls_to_patches():
    data = draw_tradeoff.aggregate(INTERVENTIONS).set_index("intervention")
    assert data["panel"].tolist() == ["", "", *["patch"] * 4, "ablate", "scale_keys"]
    control, patch = data.loc["control_TP-_AN-"], data.loc["patch_TP-_AN-"]
    assert (control["patch_toxicity"], control["patch_perplexity"]) == (
        patch["toxicity"],
        patch["perplexity"],
    )
    assert data["patch_toxicity"].notna().sum() == 2
    assert data.loc["patch_TP-_AN-", "label"] == "patch TP₋ AN₋"


def test_tradeoff_leaves_out_what_has_no_finite_measures():
    table = INTERVENTIONS.assign(toxicity_low=np.nan)
    table.loc[6, "perplexity"] = np.inf
    data = draw_tradeoff.aggregate(table)
    assert "ablate_top_5" not in set(data["intervention"])
    assert (data["toxicity_low"] == data["toxicity"]).all()


def test_tradeoff_draws_every_intervention_once_but_references_in_each_panel():
    data = draw_tradeoff.aggregate(INTERVENTIONS)
    chart = draw_tradeoff.chart(data, "toy")
    drawn = pd.concat(datasets(chart))
    assert drawn["intervention"].value_counts().to_dict() == {
        name: 3 if name in ("none", "dpo") else 1 for name in INTERVENTIONS["intervention"]
    }
    for row in drawn.itertuples():
        known = INTERVENTIONS.set_index("intervention").loc[row.intervention]
        assert (row.toxicity, row.perplexity_high) == (known["toxicity"], known["perplexity_high"])


def test_perplexity_is_logarithmic_only_if_it_doubles():
    def scale(most: float) -> str:
        table = interventions("none", "ablate_a").assign(
            perplexity=[20, most], perplexity_low=[20, most], perplexity_high=[20, most]
        )
        panel = draw_tradeoff.chart(draw_tradeoff.aggregate(table), "toy").to_dict()["vconcat"][0]
        return panel["layer"][0]["encoding"]["x"]["scale"]["type"]

    assert (scale(39), scale(41)) == ("linear", "log")


def test_spread_keeps_order_gap_and_bounds():
    positions = np.array([0.5, 0.1, 0.52, 0.99, 0.98])
    placed = draw_tradeoff.spread(positions, gap=0.1, low=0, high=1)
    assert placed == pytest.approx([0.46, 0.1, 0.56, 1.0, 0.9])
    assert draw_tradeoff.spread(np.array([]), 0.1, 0, 1).size == 0


def test_labels_of_twenty_equal_interventions_do_not_overlap():
    names = ["none", "dpo", *[f"patch_{i}" for i in range(20)]]
    table = interventions(*names).assign(toxicity=0.3)
    panel = draw_tradeoff.chart(draw_tradeoff.aggregate(table), "toy").to_dict()["vconcat"][0]
    (low, high), height = panel["layer"][0]["encoding"]["y"]["scale"]["domain"], panel["height"]
    (rows,) = datasets(draw_tradeoff.chart(draw_tradeoff.aggregate(table), "toy"))
    pixels = np.sort((rows["label_toxicity"] - low) / (high - low) * height)
    assert np.diff(pixels).min() > 15
    assert pixels.min() >= 0
    assert pixels.max() <= height


# All of them


def charts_of(table: pd.DataFrame) -> dict[str, alt.TopLevelMixin]:
    """Every figure that is drawn from contributions."""
    shifts = draw_projection_shifts
    by_reduction = shifts.aggregate(table, "reduction", 1, 500, "projection")
    by_cosine = shifts.aggregate(table, "cosine", 1, 200, "activation")
    cumulative = draw_cumulative_reduction.aggregate(table)
    composition = draw_rank_composition.aggregate(table, 10_000, 50)
    layers = draw_layer_reduction.aggregate(table)
    activations = draw_top_activations.aggregate(table, 100)
    return {
        "1b": draw_cumulative_reduction.chart(cumulative, *NAMES),
        "2b": draw_rank_composition.chart(composition, *NAMES),
        "2c": shifts.chart(by_reduction, "reduction", "projection", *NAMES),
        "3": draw_layer_reduction.chart(layers, *NAMES),
        "4": draw_top_activations.chart(activations, *NAMES),
        "5a": shifts.chart(by_cosine, "cosine", "activation", *NAMES),
    }


def charts_beside(shares: pd.DataFrame, n_layers: int) -> dict[str, alt.TopLevelMixin]:
    """Every other figure but 6."""
    projections = draw_layer_projections.aggregate(outputs(n_layers), np.array([1.0, 1.0]))
    return {
        "1a": draw_layer_projections.chart(projections, *NAMES),
        "2a": draw_group_shares.chart(draw_group_shares.aggregate(shares), *NAMES),
    }


def test_llama_sized_contributions_are_fast_and_small_and_a_group_has_one_colour():
    table = heavy_tailed(32, 14336)
    start = time.perf_counter()
    charts = charts_of(table) | charts_beside(group_table(dict.fromkeys(REDUCING, 0.25)), 32)
    assert time.perf_counter() - start < 5
    specifications = {figure: chart.to_json(indent=None) for figure, chart in charts.items()}
    assert max(map(len, specifications.values())) < MAX_JSON_BYTES / 5

    colours = {figure: group_colours(json.loads(text)) for figure, text in specifications.items()}
    assert {figure for figure, found in colours.items() if found} == {"2a", "2b", "2c", "3", "5a"}
    for found in colours.values():
        assert found == {group: GROUP_COLOURS[group] for group in found}
    assert len(colours["3"]) == 8


def assert_drawn(charts: dict[str, alt.TopLevelMixin]) -> None:
    """Check that the charts render, with labels, and nothing lies at NaN."""
    for figure, chart in charts.items():
        specification = chart.to_json()
        assert "NaN" not in specification, figure
        assert "Infinity" not in specification, figure
        vector = vl_convert.vegalite_to_svg(specification)
        assert "NaN" not in vector, figure
        assert vector.count("<text") > 4, figure


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


# The programs


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Input files of a small study: 3 layers, 200 neurons, d_model 4."""
    folder = tmp_path_factory.mktemp("study")
    heavy_tailed(3, 200).to_parquet(folder / "contributions.parquet")
    group_table(dict.fromkeys(REDUCING, 0.25)).to_csv(folder / "groups.csv", index=False)
    INTERVENTIONS.to_csv(folder / "table.csv", index=False)
    for i, name in enumerate(("before", "ablated", "after")):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["mlp_output"] = np.full((3, 4), 3.0 - i, dtype=np.float32)
    save_file({"direction": np.eye(1, 4, dtype=np.float32)}, folder / "direction.safetensors")
    return folder


PROGRAMS: list[tuple[ModuleType, str]] = [
    (
        draw_layer_projections,
        "--before before.h5 --ablated ablated.h5 --after after.h5 "
        "--direction direction.safetensors --direction-name probe",
    ),
    (draw_cumulative_reduction, "--contributions contributions.parquet --direction-name probe"),
    (draw_group_shares, "--groups groups.csv --direction-name probe"),
    (
        draw_rank_composition,
        "--contributions contributions.parquet --direction-name probe --top 10000 --bins 20",
    ),
    (
        draw_projection_shifts,
        "--contributions contributions.parquet --direction-name probe --ranked-by reduction "
        "--first 1 --last 50 --quantity projection",
    ),
    (draw_layer_reduction, "--contributions contributions.parquet --direction-name probe"),
    (
        draw_top_activations,
        "--contributions contributions.parquet --direction-name probe --top 100",
    ),
    (draw_tradeoff, "--table table.csv"),
]


@pytest.fixture
def run(study: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType, str], None]:
    """Run a program's main in the study's folder."""

    def run(program: ModuleType, arguments: str) -> None:
        monkeypatch.chdir(study)
        monkeypatch.setattr(sys, "argv", [program.__name__, *arguments.split(), "--model", "toy"])
        program.main()

    return run


@pytest.mark.parametrize(("program", "arguments"), PROGRAMS)
def test_program_writes_a_picture_with_its_title(program, arguments, study, run, tmp_path):
    stem = tmp_path / "figures" / "toy" / program.__name__
    run(program, f"{arguments} --output-stem {stem}")
    written = {path.suffix: path for path in stem.parent.iterdir()}
    assert set(written) == {".json", ".html", ".svg", ".png"}
    title = json.loads(written[".json"].read_text())["title"]
    vector = written[".svg"].read_text()
    assert title["text"] in vector
    assert "toy: " in vector
    assert vector.count("<path") > 10
    assert written[".png"].read_bytes()[:4] == b"\x89PNG"
    assert written[".png"].stat().st_size > 30_000
    assert "NaN" not in vector


def test_layer_projections_of_the_files(study, run, tmp_path):
    run(*PROGRAMS[0][:1], f"{PROGRAMS[0][1]} --output-stem {tmp_path / '1a'}")
    (rows,) = rows_in((tmp_path / "1a.json").read_text())
    assert rows["projection"].tolist() == [3.0] * 3 + [2.0] * 3 + [1.0] * 3


@pytest.mark.parametrize(
    ("program", "arguments", "missing"),
    [
        (draw_group_shares, "--groups bare.csv --direction-name probe", "share_low"),
        (draw_tradeoff, "--table bare.csv", "toxicity_low"),
        (
            draw_layer_reduction,
            "--contributions bare.parquet --direction-name probe",
            "reduction",
        ),
        (
            draw_layer_projections,
            "--before bare.h5 --ablated ablated.h5 --after after.h5 "
            "--direction direction.safetensors --direction-name probe",
            "mlp_output",
        ),
        (
            draw_layer_projections,
            "--before before.h5 --ablated ablated.h5 --after after.h5 "
            "--direction bare.safetensors --direction-name probe",
            "direction",
        ),
    ],
)
def test_what_a_file_lacks_is_named(program, arguments, missing, study, run, tmp_path):
    table = pd.concat([INTERVENTIONS, group_table({"TP-": 1.0})], axis=1)
    table = table.drop(columns=["toxicity_low", "share_low"])
    table.to_csv(study / "bare.csv", index=False)
    neurons(cosine=[0.1]).drop(columns="reduction").to_parquet(study / "bare.parquet")
    h5py.File(study / "bare.h5", "w").close()
    save_file({"w": np.ones(4, dtype=np.float32)}, study / "bare.safetensors")
    with pytest.raises(InputError, match=rf"bare\.\w+.*'{missing}'"):
        run(program, f"{arguments} --output-stem {tmp_path / 'figure'}")
    assert list(tmp_path.iterdir()) == []


def test_files_of_different_models_are_refused(study, run, tmp_path):
    with h5py.File(study / "deeper.h5", "w") as file:
        file["mlp_output"] = np.zeros((4, 4), dtype=np.float32)
    arguments = PROGRAMS[0][1].replace("after.h5", "deeper.h5")
    with pytest.raises(InputError, match=r"deeper\.h5.*\(4, 4\).*one model"):
        run(draw_layer_projections, f"{arguments} --output-stem {tmp_path / 'figure'}")
