"""Figure 16: its data, controls beside their rows, and models without an effect."""

import json

import numpy as np
import pandas as pd
import pytest
import vl_convert
from support.figure_cases import assert_drawn, datasets, group_colours
from support.workflow import program

from dpo_neurons.figures.model_comparison import COLUMNS, WIDEST, aggregate, chart
from dpo_neurons.figures.style import GROUP_COLOURS, MAX_JSON_BYTES
from dpo_neurons.neurons.groups import REDUCING

SHARES = dict(zip(REDUCING, [0.32, 0.24, 0.07, 0.37], strict=True))


def comparison_of(*shares: float) -> pd.DataFrame:
    """Models whose patch_tp has these shares of the effect; NaN for one without an effect."""
    rows = []
    for number, share in enumerate(shares):
        model = f"m{number}"
        rows.append((model, "effect", "dpo", None, None, 0.245, 0.22, 0.26))
        for group, of_group in SHARES.items():
            interval = (of_group, of_group - 0.01, of_group + 0.02)
            rows.append((model, "group_share", group, None, None, *interval))
            lower = [end - 0.001 for end in interval]
            rows.append((model, "group_crossfitted_share", group, None, None, *lower))
            rows.append((model, "group_random_share", group, None, None, 0.25, 0.1, 0.4))
        for name, kind, controlled, value in (
            ("patch_tp", "patch", None, share),
            ("ablate_top_9", "ablate", None, -0.05 if np.isfinite(share) else np.nan),
            ("patch_me", "edit", None, 0.4),
            ("twin", "control", "patch_tp", share / 2),
            ("control_tp", "control", "another", 0.3),
        ):
            interval = (value, value - 0.1, value + 0.2)
            rows.append((model, "effect_share", name, kind, controlled, *interval))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_a_control_stands_below_the_row_that_it_controls():
    shares, _ = aggregate(comparison_of(0.24, 0.1))
    assert list(shares[["model", "intervention", "kind"]].itertuples(index=False, name=None)) == [
        ("m0", "patch_tp", "row"),
        ("m1", "patch_tp", "row"),
        ("m0", "patch_tp", "control"),
        ("m1", "patch_tp", "control"),
        ("m0", "ablate_top_9", "row"),
        ("m1", "ablate_top_9", "row"),
    ]
    assert shares["value"].tolist() == [0.24, 0.1, 0.12, 0.05, -0.05, -0.05]
    assert set(shares["label"]) == {"patch tp", "ablate top 9"}


def test_random_sets_are_a_band_of_their_row():
    table = comparison_of(0.24)
    sets = pd.DataFrame(
        [("m0", "random_share", "patch_tp", "patch", None, 0.1, 0.0, 0.2)], columns=list(COLUMNS)
    )
    shares, _ = aggregate(pd.concat([table, sets], ignore_index=True))
    assert shares["kind"].tolist() == ["row", "control", "random", "row"]
    assert shares.loc[2, ["label", "value", "low", "high"]].tolist() == ["patch tp", 0.1, 0.0, 0.2]


def test_bars_of_groups_lie_end_to_end():
    _, groups = aggregate(comparison_of(0.24, 0.1))
    bars = groups.groupby(["model", "bar"])
    assert len(bars) == 6, "two models, each cross-fitted, as published and along random directions"
    for (_, name), bar in bars:
        if name == "random directions":
            assert bar["end"].tolist() == [0.25, 0.5, 0.75, 1]
            continue
        # The cross-fitted shares are a thousandth lower each.
        lower = 0.001 * np.arange(5) * (name == "cross-fitted")
        ends = np.array([0, 0.32, 0.56, 0.63, 1]) - lower
        assert bar["group"].tolist() == list(REDUCING)
        np.testing.assert_allclose(bar["start"], ends[:4], atol=1e-12)
        np.testing.assert_allclose(bar["end"], ends[1:], atol=1e-12)


def test_a_model_whose_groups_have_no_shares_is_drawn_as_undefined():
    comparison = comparison_of(0.24, 0.1)
    nothing = (comparison["quantity"] == "group_crossfitted_share") & (comparison["model"] == "m1")
    comparison.loc[nothing, ["value", "low", "high"]] = np.nan
    drawn = chart(*aggregate(comparison), "probe")
    assert_drawn({"16": drawn})
    assert "undefined" in vl_convert.vegalite_to_svg(drawn.to_json())


def test_the_chart_holds_the_data_and_the_groups_their_colours():
    shares, groups = aggregate(comparison_of(0.24, 0.1))
    drawn = chart(shares, groups, "probe")
    held = {tuple(sorted(data.columns)): data for data in datasets(drawn)}
    pd.testing.assert_frame_equal(held[tuple(sorted(shares))][list(shares)], shares)
    pd.testing.assert_frame_equal(held[tuple(sorted(groups))][list(groups)], groups)
    colours = group_colours(json.loads(drawn.to_json()))
    assert colours == {group: GROUP_COLOURS[group] for group in REDUCING}


def test_wide_intervals_do_not_flatten_the_rest_but_no_share_is_cut_off():
    comparison = comparison_of(0.24, 7.0)
    of_patch = comparison["of"] == "patch_tp"
    comparison.loc[of_patch, "low"] = -50.0
    shares, groups = aggregate(comparison)
    layers = chart(shares, groups, "probe").to_dict()["hconcat"][0]["spec"]["layer"]
    (domain,) = {
        tuple(layer["encoding"]["x"]["scale"]["domain"])
        for layer in layers
        if "scale" in layer["encoding"]["x"]
    }
    low, high = domain
    assert WIDEST[0] - 0.5 < low <= WIDEST[0]
    assert 7 < high < 8


@pytest.mark.parametrize("shares", [[0.24], [np.nan], [np.nan, 0.3], [0.1] * 9], ids=str)
def test_any_number_of_models_is_drawn(shares):
    drawn = chart(*aggregate(comparison_of(*shares)), "probe")
    assert_drawn({"16": drawn})
    assert len(drawn.to_json(indent=None)) < MAX_JSON_BYTES / 20


def test_without_a_patch_or_ablation_the_groups_are_drawn_alone():
    comparison = comparison_of(0.24)
    shares, groups = aggregate(comparison[~comparison["kind"].isin(["patch", "ablate"])])
    assert shares.empty
    assert_drawn({"16": chart(shares, groups, "probe")})


def test_the_program_writes_four_files(tmp_path):
    comparison_of(0.24, np.nan).to_csv(tmp_path / "c.csv", index=False)
    (tmp_path / "vega.js").write_text("function vegaEmbed() {}")
    result = program(
        "draw_model_comparison",
        f"--comparison {tmp_path}/c.csv --direction-name probe"
        f" --vega {tmp_path}/vega.js --output-stem {tmp_path}/out/16_models",
    )
    assert result.returncode == 0, result.stdout
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {
        ".json", ".html", ".svg", ".png",
    }  # fmt: skip
    vector = (tmp_path / "out/16_models.svg").read_text()
    assert "undefined" in vector
    assert "NaN" not in vector
