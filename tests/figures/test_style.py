"""The common style of figures: colours, labels, scales, and the four files."""

import json
import re
from itertools import combinations
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert

from dpo_neurons.figures import style as figure_style
from dpo_neurons.figures.style import (
    GROUP_COLOURS,
    log_ticks,
    order_groups,
    subscript_signs,
    symlog_scale,
    write_figure,
)
from dpo_neurons.neurons.groups import GROUPS, RAISING, REDUCING, UNCHANGED

# Simulation matrices in linear RGB (Machado et al. 2009, severity 1).
DEFICIENCIES = {
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
}


def lab(colour: str, simulation: np.ndarray) -> np.ndarray:
    """CIELAB of a #RRGGBB colour as seen through a simulation matrix."""
    encoded = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(simulation @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(to_xyz @ seen / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("simulation", [np.eye(3), *map(np.array, DEFICIENCIES.values())])
@pytest.mark.parametrize(
    "colours",
    [
        [GROUP_COLOURS[group] for group in REDUCING],
        [GROUP_COLOURS[group] for group in RAISING],
        [figure_style.BEFORE, figure_style.ABLATED, figure_style.AFTER],
    ],
)
def test_colours_shown_together_differ_for_the_colour_blind(colours, simulation):
    distances = [
        np.linalg.norm(lab(a, simulation) - lab(b, simulation)) for a, b in combinations(colours, 2)
    ]
    assert min(distances) > 18


def test_every_group_has_a_colour_of_its_own():
    assert set(GROUP_COLOURS) == {*GROUPS, UNCHANGED}
    assert len(set(GROUP_COLOURS.values())) == len(GROUP_COLOURS)


def test_groups_in_order():
    assert order_groups(["AN+", "unchanged", "AP+", "TP-", "AP+"]) == [
        "TP-",
        "AP+",
        "AN+",
        "unchanged",
    ]


def test_pretty_group_leaves_other_signs_alone():
    assert subscript_signs("patch_TP-_AN+ x-y +3") == "patch_TP₋_AN₊ x-y +3"


def test_signed_log_scale_holds_the_values_and_ticks_zero():
    values = np.array([-0.1, -0.05, 0.05, 0.1, 8.0])
    scale, axis = symlog_scale(values)
    low, high = scale["domain"]
    assert low < -0.1
    assert high > 8.0
    assert scale["constant"] == 0.1
    assert 0.0 in axis["values"]
    assert all(-0.1 <= tick <= 8.0 for tick in axis["values"])
    assert max(axis["values"]) == 3.0


def test_a_short_axis_keeps_all_its_ticks():
    data = pd.DataFrame({"value": [-0.006, 0.001, 0.005, 0.05]})
    scale, axis = symlog_scale(data["value"].to_numpy())
    y = alt.Y("value:Q", scale=scale, axis=axis, title=None)
    chart = alt.Chart(data).mark_point().encode(y=y).properties(height=130)
    labels = re.findall(r"<text[^>]*>([^<]+)</text>", vl_convert.vegalite_to_svg(chart.to_json()))
    assert labels == ["−0.003", "0", "0.003", "0.01", "0.03"]


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [np.nan]])
def test_signed_log_scale_of_nothing(values):
    scale, axis = symlog_scale(np.array(values))
    assert scale["domain"][0] < 0 < scale["domain"][1]
    assert axis["values"] == [-1.0, -0.3, 0.0, 0.3, 1.0]


@pytest.mark.parametrize(
    ("ends", "ticks"), [((26, 140), [30, 50, 100]), ((0.9, 21), [1, 2, 3, 5, 10, 20])]
)
def test_a_log_axis_has_few_round_ticks(ends, ticks):
    assert log_ticks(*ends) == pytest.approx(ticks)


@pytest.fixture
def vega(tmp_path: Path) -> Path:
    """A stand-in for the scripts that draw a page."""
    path = tmp_path / "vega.js"
    path.write_text("function vegaEmbed() {}")
    return path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stem of a written figure, in a folder that did not exist, its name with a dot in it."""
    folder = tmp_path_factory.mktemp("figures")
    stem = folder / "toy" / "1.5_bars"
    (folder / "vega.js").write_text(vl_convert.javascript_bundle(), encoding="utf-8")
    data = pd.DataFrame({"group": ["TP-", "AN-"], "reduction": [1.0, 2.0]})
    bars = alt.Chart(data).mark_bar().encode(x="reduction:Q", y=alt.Y("group:N"))
    write_figure(bars.properties(title="TP₋ and AN₋"), stem, folder / "vega.js")
    return stem


def test_four_files_and_nothing_else(written: Path):
    names = sorted(path.name for path in written.parent.iterdir())
    assert names == [f"1.5_bars.{extension}" for extension in ("html", "json", "png", "svg")]


def test_page_needs_no_network(written: Path):
    page = written.with_name("1.5_bars.html").read_text()
    assert re.findall(r"<script[^>]*>", page) == ["<script>"] * 2
    assert not re.search(r"""<link|@import|(src|href)=["']?https?:""", page)
    assert len(page) > 500_000, "the libraries are in the page"
    assert '"reduction": 2.0' in page


def test_a_figure_describes_itself_to_those_who_do_not_see_it(tmp_path: Path, vega: Path):
    data = pd.DataFrame({"group": ["TP-"], "reduction": [1.0]})
    title = alt.Title("Shares", subtitle=["toy: of the reduction", "with intervals"])
    chart = alt.Chart(data).mark_bar().encode(x="reduction:Q").properties(title=title)
    write_figure(chart, tmp_path / "shares", vega)
    said = "Shares. toy: of the reduction. with intervals"
    assert json.loads((tmp_path / "shares.json").read_text())["description"] == said
    assert f'aria-label="{said}"' in (tmp_path / "shares.svg").read_text()


def test_no_text_of_a_figure_ends_its_pages_script(tmp_path: Path, vega: Path):
    data = pd.DataFrame({"label": ["</script><b>"]})
    write_figure(alt.Chart(data).mark_text().encode(text="label:N"), tmp_path / "texts", vega)
    page = (tmp_path / "texts.html").read_text()
    assert page.count("</script>") == 2
    assert json.dumps("</script><b>").replace("<", "\\u003c") in page


def test_picture_and_vector(written: Path):
    picture = written.with_name("1.5_bars.png").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width = int.from_bytes(picture[16:20], "big")
    assert width > 2 * 640, "twice the size of the chart"
    vector = written.with_name("1.5_bars.svg").read_text()
    assert vector.startswith("<svg")
    assert "TP₋ and AN₋" in vector


def test_json_is_the_chart(written: Path):
    spec = json.loads(written.with_name("1.5_bars.json").read_text())
    assert next(iter(spec["datasets"].values())) == [
        {"group": "TP-", "reduction": 1.0},
        {"group": "AN-", "reduction": 2.0},
    ]
    assert spec["background"] == "white"


def test_too_much_data_is_a_bug(tmp_path: Path, vega: Path):
    rows = [{"text": "x" * 1000, "i": i} for i in range(2100)]
    chart = alt.Chart(alt.Data(values=rows)).mark_point().encode(x="i:Q")
    with pytest.raises(ValueError, match="aggregate"):
        write_figure(chart, tmp_path / "large", vega)
    assert [path.name for path in tmp_path.iterdir()] == ["vega.js"]


def test_without_fonts_the_picture_has_plain_signs(
    tmp_path: Path, vega: Path, monkeypatch: pytest.MonkeyPatch
):
    data = pd.DataFrame({"label": ["AN₋"]})
    chart = alt.Chart(data).mark_text().encode(text="label:N")
    plain = alt.Chart(pd.DataFrame({"label": ["AN−"]})).mark_text().encode(text="label:N")
    monkeypatch.setattr(figure_style, "_has_signs", lambda: False)
    write_figure(chart, tmp_path / "signs", vega)
    write_figure(plain, tmp_path / "plain", vega)
    assert (tmp_path / "signs.png").read_bytes() == (tmp_path / "plain.png").read_bytes()
    assert "AN₋" in (tmp_path / "signs.svg").read_text()
