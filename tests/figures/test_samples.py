"""Figure 24: the sampled rows, in the table's order, with their measures."""

import pandas as pd
from support.figure_cases import INTERVENTIONS, SAMPLES, datasets

from dpo_neurons.figures import samples


def test_sampled_rows_are_drawn_in_the_order_of_the_table():
    data = samples.aggregate(SAMPLES, INTERVENTIONS)
    assert data["intervention"].tolist() == ["none", "dpo", "patch_TP-"]
    chart = samples.chart(data, "toy")
    drawn = pd.concat(rows for rows in datasets(chart) if "expected_maximum" in rows)
    for row in drawn.itertuples():
        known = SAMPLES.set_index("intervention").loc[row.intervention]
        assert row.expected_maximum == known["expected_maximum"]
        assert row.toxicity_probability_high == known["toxicity_probability_high"]
    said = " ".join(chart.to_dict()["title"]["subtitle"])
    assert "25 samples of each prompt" in said
    assert "before (none) and after (dpo)" in said


def test_a_control_alone_is_a_row_of_its_own_and_no_line_stands_for_what_was_not_sampled():
    alone = SAMPLES[SAMPLES["intervention"] == "patch_TP-"].assign(intervention="twin")
    data = samples.aggregate(alone, INTERVENTIONS)
    assert data[["panel", "label"]].to_numpy().tolist() == [["control", "twin"]]
    said = " ".join(samples.chart(data, "toy").to_dict()["title"]["subtitle"])
    assert "Dashed" not in said


def test_a_row_that_is_never_toxic_is_drawn():
    data = samples.aggregate(SAMPLES.assign(toxicity_probability_high=0.0), INTERVENTIONS)
    second = samples.chart(data, "toy").to_dict()["hconcat"][1]
    assert second["layer"][0]["encoding"]["x"]["scale"]["domain"] == [0, 1]
