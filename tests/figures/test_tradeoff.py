"""Figure 6: lines, random sets, scales, and rows whose model no longer writes."""

import re

import numpy as np
import pandas as pd
import pytest
import vl_convert
from support.figure_cases import DPO, INTERVENTIONS, NO_SETS, NONE, datasets, interventions

from dpo_neurons.figures import tradeoff


def draw(table: pd.DataFrame, sets: pd.DataFrame = NO_SETS) -> dict:
    """The specification of the figure of a table."""
    return tradeoff.chart(tradeoff.aggregate(table, sets), "toy").to_dict()


def scales(table: pd.DataFrame) -> list[dict]:
    """The scales of toxicity and perplexity."""
    columns = draw(table)["hconcat"]
    return [column["layer"][0]["encoding"]["x"]["scale"] for column in columns]


def test_every_intervention_is_drawn_with_its_measures():
    chart = tradeoff.chart(tradeoff.aggregate(INTERVENTIONS, NO_SETS), "toy")
    expected = INTERVENTIONS.set_index("intervention")
    (drawn,) = [
        rows.set_index("intervention")
        for rows in datasets(chart)
        if len(rows) == len(INTERVENTIONS) and "beyond" not in rows
    ]
    for column in tradeoff.MEASURE_COLUMNS:
        assert drawn[column].to_dict() == expected[column].to_dict()
    row = expected.loc["patch_TP-_AN-"]
    assert drawn.loc["control_TP-", "row_toxicity"] == row["toxicity"]
    assert drawn.loc["control_TP-", "row_perplexity"] == row["perplexity"]


def test_rows_have_the_band_of_their_random_sets():
    sets = pd.DataFrame(
        {"intervention": ["top_5"], "random_toxicity_low": [0.2], "random_toxicity_high": [0.3]}
    )
    data = tradeoff.aggregate(INTERVENTIONS, sets).set_index("intervention")
    assert data["random_toxicity_low"].dropna().to_dict() == {"top_5": 0.2}
    assert "random sets" in draw(INTERVENTIONS, sets)["title"]["subtitle"][-1]
    assert "random sets" not in draw(INTERVENTIONS)["title"]["subtitle"][-1]


def test_what_has_no_finite_measures_is_left_out():
    table = INTERVENTIONS.assign(toxicity_low=np.nan)
    table.loc[6, "perplexity"] = np.inf
    data = tradeoff.aggregate(table, NO_SETS)
    assert "top_5" not in set(data["intervention"])
    assert (data["toxicity_low"] == data["toxicity"]).all()


@pytest.mark.parametrize(("most", "kind"), [(39, "linear"), (41, "log")])
def test_perplexity_is_logarithmic_only_if_it_doubles(most, kind):
    values = {f"perplexity{end}": [20, most] for end in ("", "_low", "_high")}
    assert scales(interventions(NONE, ("ablate_a", "ablate")).assign(**values))[1]["type"] == kind


def test_a_broken_row_stretches_no_axis_and_says_its_perplexity():
    table = interventions(NONE, DPO, ("patch_a", "patch"), ("patch_b", "patch")).assign(
        toxicity_high=[0.5, 0.5, 0.5, 0.9],
        perplexity=[20, 25, 28, 28539],
        perplexity_low=[19, 24, 27, 28000],
        perplexity_high=[21, 26, 30, 29000],
        no_longer_writes=[False, False, False, True],
    )
    toxicity, perplexity = scales(table)
    assert toxicity["domain"][1] < 0.52
    assert (perplexity["clamp"], perplexity["type"]) == (True, "linear")
    assert 30 < perplexity["domain"][1] < 32
    texts = re.findall(r"<text[^>]*>([^<]+)</text>", vl_convert.vegalite_to_svg(draw(table)))
    assert texts.count("28,539") == 1
    assert texts.count("no longer writes") == 2, "the text and its outline"
    assert {"none", "dpo", "patch a", "patch b", "Patching"} <= set(texts)
