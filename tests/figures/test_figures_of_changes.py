"""Figures 13 to 15, 19 to 21 and 24: values of their data; charts of any depth are small."""

import re
import xml.etree.ElementTree as ET

import altair as alt
import draw_activation_regions
import draw_reduction_sources
import draw_residual_shift
import draw_stream_split
import draw_token_probabilities
import draw_value_changes
import draw_weight_changes
import numpy as np
import pytest
import vl_convert
from support.captured_pair import run_main
from support.change_tables import changes, matrices, probabilities, shifts, sources, written
from support.figure_cases import NAMES, assert_drawn, datasets, written_vega

from dpo_neurons.errors import InputError
from dpo_neurons.figures import (
    activation_regions,
    reduction_sources,
    residual_shift,
    stream_split,
    token_probabilities,
    value_changes,
    weight_changes,
)
from dpo_neurons.figures.style import MAX_JSON_BYTES, theme


def charts(n_layers, n_prompts):
    """The six charts of a model with this number of layers."""
    prompts, layers = shifts(n_layers, n_prompts)
    late = max(n_layers * 3 // 4 - 1, 0)
    return {
        "13": reduction_sources.chart(reduction_sources.aggregate(sources(n_layers)), *NAMES),
        "14": residual_shift.chart(*residual_shift.aggregate(prompts, layers), NAMES[0]),
        "19": weight_changes.chart(weight_changes.aggregate(matrices(n_layers)), *NAMES),
        "15": value_changes.chart(*value_changes.aggregate(changes(n_layers, late)), NAMES[0]),
        "21": token_probabilities.chart(
            token_probabilities.aggregate(probabilities(n_layers)), NAMES[0]
        ),
        "20": stream_split.chart(stream_split.aggregate(written(n_layers)), *NAMES),
    }


def test_parts_of_the_reduction_sum_to_it_in_every_layer_and_group():
    table = sources(3)
    data = reduction_sources.aggregate(table)
    assert set(data["source"]) == set(reduction_sources.SOURCES)
    for (by, part), rows in data.groupby(["by", "part"]):
        whole = table.loc[(table["by"] == by) & (table["part"] == part), "reduction"].item()
        assert rows["reduction"].sum() == pytest.approx(whole)
        assert rows["net"].tolist() == [pytest.approx(whole)] * 4
    layer = table[table["part"] == "2"].iloc[0]
    drawn = data[data["part"] == "2"].set_index("source")["reduction"]
    assert drawn["layers below"] == layer["from_inputs"] - layer["from_text"]
    assert drawn["other text"] == layer["from_text"]
    assert "all" not in set(data["by"])


def test_layers_are_drawn_in_the_order_of_the_stack():
    chart = reduction_sources.chart(reduction_sources.aggregate(sources(11)), *NAMES).to_dict()
    sort = chart["vconcat"][0]["layer"][0]["encoding"]["x"]["sort"]
    assert sort == [str(layer) for layer in range(11)]


def test_prompts_are_thinned_and_their_means_are_of_all():
    prompts, layers = shifts(4, 200)
    drawn, means, measures = residual_shift.aggregate(prompts, layers)
    assert drawn["prompt"].nunique() == residual_shift.MAX_PROMPTS
    assert {0, 199} <= set(drawn["prompt"])
    row = drawn[(drawn["layer"] == 2) & (drawn["prompt"] == 199)].iloc[0]
    stages = prompts[(prompts["layer"] == 2) & (prompts["prompt"] == 199)].set_index("stage")
    before = stages.loc["pre", ["along_shift", "beside_shift"]]
    assert (row["along"], row["beside"]) == tuple(before)
    assert row["along_after"] == stages.loc["post", "along_shift"]
    mean = means[(means["layer"] == 2) & (means["stage"] == "post")]["along"].item()
    of_all = prompts[(prompts["layer"] == 2) & (prompts["stage"] == "post")]["along_shift"].mean()
    assert mean == pytest.approx(of_all)
    assert len(measures) == 4 * len(residual_shift.MEASURES)


def test_a_prompts_points_have_the_activations_of_their_own_stage():
    prompts = shifts(2, 3)[0].assign(neuron=7)
    prompts["mlp_post"] = np.arange(len(prompts), dtype=float)
    data = activation_regions.aggregate(prompts)
    # Rows alternate between pre and post: prompt 2 of layer 1 has the last two.
    last = data[(data["layer"] == 1) & (data["prompt"] == 2)].iloc[0]
    assert (last["mlp_post_pre"], last["mlp_post_post"]) == (10, 11)
    assert last["along_post"] == prompts["along_shift"].iloc[-1]
    assert last["beside_pre"] == prompts["beside_shift"].iloc[-2]
    panels = activation_regions.chart(data, *NAMES).to_dict()["vconcat"][0]["hconcat"]
    titles = [panel["title"]["text"] for panel in panels]
    assert titles == [f"after block {layer}, coloured by its neuron 7" for layer in (0, 1)]


def test_value_changes_are_those_against_the_late_layers_shift():
    table = changes(8, 5)
    counts, sums = value_changes.aggregate(table)
    assert set(sums["shift_layer"]) == {5}
    assert sorted(counts["layer"].unique()) == [0, 1, 2, 3, 4, 5]
    assert counts.groupby("layer")["share"].sum().tolist() == pytest.approx([1] * 6)
    written = sums[(sums["layer"] == 3) & (sums["activation"] == "negative")]["written"].item()
    of_layer = table[(table["shift_layer"] == 5) & (table["layer"] == 3)]
    bins = of_layer[of_layer["activation"] == "negative"]
    assert written == pytest.approx(bins["written"].sum())


def test_matrices_stand_in_order_and_unchanged_ones_are_left_out():
    table = matrices(11)
    table.loc[table["layer"] == 3, "relative_change"] = 0.0
    data = weight_changes.aggregate(table)
    assert list(dict.fromkeys(data["matrix"])) == [
        "wte", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj"
    ]  # fmt: skip
    assert 3 not in set(data["layer"])
    row, given = data.iloc[-1], table.iloc[-1]
    assert row["beyond_chance"] == given["cosine"] / given["cosine_by_chance"]
    panel = weight_changes.chart(data, *NAMES).to_dict()["concat"][0]["encoding"]
    assert panel["x"]["sort"] == ["–", *(str(layer) for layer in range(11) if layer != 3)]
    unchanged = weight_changes.aggregate(table.assign(relative_change=0.0))
    assert "no matrix changed" in weight_changes.chart(unchanged, *NAMES).to_json()


def test_the_late_layer_of_models_with_one_or_two_layers():
    # With two layers, each is compared with its own shift only.
    assert set(value_changes.aggregate(changes(1, 0))[1]["shift_layer"]) == {0}
    assert len(value_changes.aggregate(changes(2, 0))[1]) > 0


def test_what_was_written_is_drawn_beside_the_stream_for_both_texts():
    layers = written(3)
    data = stream_split.aggregate(layers)
    drawn = stream_split.chart(data, *NAMES).to_dict()["vconcat"]
    assert [panel["facet"]["column"]["sort"] for panel in drawn] == [
        ["each model's own text", "the first model's text"]
    ] * 3
    row = data.query("text == 'each model\\'s own text' and layer == 2 and what == 'mlp'")
    wanted = layers.query("text == 'own' and layer == 2 and what == 'mlp'")
    assert row["reduction"].item() == wanted["reduction"].item()


def test_half_layers_are_drawn_in_the_order_of_the_depth():
    data = token_probabilities.aggregate(probabilities(3))
    before = data[data["stage"] == "pre"]
    assert before["depth"].tolist() == [0, 0.5, 1, 1.5, 2, 2.5]
    assert set(before["model"]) == {"before fine-tuning"}


def heights_of_texts(node, pattern, height=0.0):
    """Pixels from the top of each text in a drawing that the pattern matches."""
    moved = re.search(r"translate\([^,]+,([-\d.]+)\)", node.get("transform", ""))
    height += float(moved[1]) if moved else 0.0
    found = [height] if re.match(pattern, node.text or "") else []
    return found + [place for child in node for place in heights_of_texts(child, pattern, height)]


def test_titles_of_panels_stand_at_one_height_whatever_their_axes_hold():
    prompts, layers = shifts(30, 200)
    # Another range in each layer, so that ticks lie elsewhere.
    prompts["beside_shift"] *= 1 + prompts["layer"] / 7
    alt.theme.register("dpo_neurons", enable=False)(theme)
    with alt.theme.enable("dpo_neurons"):
        chart = residual_shift.chart(*residual_shift.aggregate(prompts, layers), NAMES[0])
        vector = vl_convert.vegalite_to_svg(chart.to_json())
    heights = heights_of_texts(ET.fromstring(vector), r"after block \d+")
    assert len(heights) == 4
    assert np.ptp(heights) < 0.5


def test_the_legend_of_shares_has_four_ticks_far_apart():
    counts, sums = value_changes.aggregate(changes(30, 21))
    chart = value_changes.chart(counts, sums, NAMES[0]).to_dict()
    ticks = chart["vconcat"][0]["hconcat"][0]["encoding"]["color"]["legend"]["values"]
    assert np.diff(np.sqrt(ticks)) == pytest.approx([np.sqrt(counts["share"].max()) / 3] * 3)


@pytest.mark.parametrize(
    ("n_layers", "n_prompts"),
    [(1, 1), (2, 24), pytest.param(32, 1199, marks=pytest.mark.slow)],
)
def test_charts_of_any_depth_are_drawn_and_small(n_layers, n_prompts):
    drawn = charts(n_layers, n_prompts)
    assert_drawn(drawn)
    for chart in drawn.values():
        assert len(chart.to_json(indent=None)) < MAX_JSON_BYTES
        assert sum(map(len, datasets(chart))) > 0


def test_the_figure_says_that_no_value_vector_changed(tmp_path, monkeypatch):
    header = ",".join(value_changes.COLUMNS)
    (tmp_path / "changes.csv").write_text(f"{header}\n")
    options = {"--model": "m", "--changes": tmp_path / "changes.csv"}
    options |= {"--output-stem": tmp_path / "15", "--vega": written_vega(tmp_path)}
    run_main(draw_value_changes, monkeypatch, options)
    assert "no value vector changed" in (tmp_path / "15.svg").read_text()


@pytest.mark.parametrize(
    ("program", "tables"),
    [
        (draw_reduction_sources, {"--sources": sources(2)}),
        (draw_residual_shift, dict(zip(("--prompts", "--layers"), shifts(2, 5), strict=True))),
        (draw_activation_regions, {"--prompts": shifts(2, 5)[0].assign(neuron=3, mlp_post=0.5)}),
        (draw_value_changes, {"--changes": changes(2, 0)}),
        (draw_weight_changes, {"--changes": matrices(2)}),
        (draw_stream_split, {"--layers": written(2)}),
        (draw_token_probabilities, {"--probabilities": probabilities(2)}),
    ],
)
def test_programs_write_four_files_or_name_the_column_that_is_missing(
    program, tables, tmp_path, monkeypatch
):
    arguments = {
        "--model": "toy", "--output-stem": tmp_path / "figure", "--vega": written_vega(tmp_path)
    }  # fmt: skip
    of_direction = draw_activation_regions, draw_reduction_sources, draw_stream_split
    if program in (*of_direction, draw_weight_changes):
        arguments["--direction-name"] = "probe"
    for name, table in tables.items():
        arguments[name] = tmp_path / f"{name}.csv"
        table.to_csv(arguments[name], index=False)
    run_main(program, monkeypatch, arguments)
    assert {path.suffix for path in tmp_path.glob("figure.*")} == {".json", ".html", ".svg", ".png"}
    last, table = list(tables.items())[-1]
    table.drop(columns="layer", errors="ignore").drop(columns="by", errors="ignore").to_csv(
        arguments[last], index=False
    )
    with pytest.raises(InputError, match=r"needs the column '(layer|by)'"):
        run_main(program, monkeypatch, arguments)
