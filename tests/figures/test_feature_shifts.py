"""Figure 22: what of a split by features is drawn, and how it is labelled."""

import draw_feature_shifts
import pytest
from support.captured_pair import run_main
from support.figure_cases import assert_drawn, written_vega
from support.saved_autoencoders import split_by_hand

from dpo_neurons.figures import feature_shifts


def test_the_largest_features_and_all_sums_are_drawn():
    whole = split_by_hand(40)
    data = feature_shifts.aggregate(whole)
    for text, of_text in data.groupby("text"):
        of_file = whole[whole["text"].map(feature_shifts.TEXTS) == text]
        bars, parts = of_text["part"] != "all", of_file["part"] != "all"
        assert of_text.loc[bars, "reduction"].sum() == pytest.approx(
            of_file.loc[parts, "reduction"].sum()
        )
        assert len(of_text) == feature_shifts.DRAWN + 3
        assert of_text["label"].tolist()[-3:] == ["other features", "left out", "all"]
        assert of_text["label"].iloc[3] == "3  “grim” “a long token of many …"
        assert of_text["kind"].tolist()[-3:] == ["sum", "sum", "all"]


def test_it_is_drawn_with_few_features_and_with_many(tmp_path, monkeypatch):
    names = ("m", "probe", "sae")
    charts = {
        n: feature_shifts.chart(feature_shifts.aggregate(split_by_hand(n)), *names)
        for n in (1, 100)
    }
    assert_drawn(charts)
    split_by_hand(3).to_csv(tmp_path / "split.csv", index=False)
    arguments = {
        "--split": tmp_path / "split.csv", "--direction-name": "probe", "--model": "m",
        "--autoencoder-name": "sae", "--output-stem": tmp_path / "figure",
        "--vega": written_vega(tmp_path),
    }  # fmt: skip
    run_main(draw_feature_shifts, monkeypatch, arguments)
    assert "in features" in (tmp_path / "figure.svg").read_text()
