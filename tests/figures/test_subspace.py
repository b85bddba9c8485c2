"""Figure 17: reductions along the rows of a subspace, against sums by hand."""

import sys

import draw_subspace
import numpy as np
import pytest
from support.figure_cases import NAMES, assert_drawn, heavy_tailed, neurons, subspace_table

from dpo_neurons.errors import InputError
from dpo_neurons.figures import subspace


def test_each_row_is_summed_by_layer_and_group():
    table = neurons(layer=[0, 0, 1, 1], group=["TP-", "TP-", "TP-", "AN+"])
    table["reduction_1"], table["reduction_2"] = [1.0, 2, 4, -8], [0.5, 0, -1, 1]
    table["reduction_total"] = table["reduction_1"] * 0.6 + table["reduction_2"] * 0.8
    data = subspace.aggregate(table).set_index(["layer", "group", "row"])["reduction"]
    assert data[0, "TP-", "row 1"] == 3
    assert data[0, "TP-", "row 2"] == 0.5
    assert data[1, "AN+", "row 1"] == -8
    assert data[1, "TP-", "in total"] == pytest.approx(0.6 * 4 - 0.8)
    assert (1, "TP-", "row 3") not in data.index
    assert len(data) == 9


@pytest.mark.parametrize("rows", [2, 3, 8])
def test_the_chart_holds_the_net_of_every_row_and_is_drawn(rows):
    table = subspace_table(rows)
    data = subspace.aggregate(table)
    chart = subspace.chart(data, *NAMES)
    parts = chart.to_dict()["datasets"].values()
    by_row = next(part for part in parts if set(part[0]) == {"row", "reduction"})
    net = {point["row"]: point["reduction"] for point in by_row}
    expected = {f"row {j}": table[f"reduction_{j}"].sum() for j in range(1, rows + 1)}
    assert net == pytest.approx(expected | {"in total": table["reduction_total"].sum()})
    # The direction of the shift: its length is that of the vector of the rows' sums.
    assert abs(net["in total"]) == pytest.approx(np.linalg.norm(list(expected.values())))
    assert_drawn({"17": chart})


def test_a_direction_of_one_row_is_refused(tmp_path, monkeypatch):
    heavy_tailed(2, 9).to_parquet(tmp_path / "c.parquet")
    words = ["--contributions", str(tmp_path / "c.parquet"), "--direction-name", "probe"]
    (tmp_path / "vega.js").write_text("function vegaEmbed() {}")
    words += ["--model", "toy", "--output-stem", str(tmp_path / "17")]
    words += ["--vega", str(tmp_path / "vega.js")]
    monkeypatch.setattr(sys, "argv", ["draw_subspace", *words])
    with pytest.raises(InputError, match=r"c\.parquet: direction probe has a single row; draw fig"):
        draw_subspace.main()
    assert not list(tmp_path.glob("17*"))
