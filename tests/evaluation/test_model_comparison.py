"""The comparison of models: numbers from the models' tables, in the published layout."""

from dataclasses import replace

import pandas as pd
import pytest
from support.published_tables import COUNTS, NOTHING, SHARES, tables

from dpo_neurons.evaluation.model_comparison import COLUMNS, format_models, model_rows
from dpo_neurons.files.tables import read_csv
from dpo_neurons.neurons.groups import GROUPS


@pytest.fixture
def comparison():
    """The comparison of two models; DPO did not change one of them."""
    interventions = tables().table.assign(
        effect_share=NOTHING, effect_share_low=NOTHING, effect_share_high=NOTHING
    )
    silent = replace(tables(), table=interventions)
    parts = [model_rows("gpt2", tables()), model_rows("silent", silent)]
    return pd.concat(parts, ignore_index=True)


def test_every_number_is_there_once(comparison):
    assert tuple(comparison.columns) == COLUMNS
    assert not comparison.duplicated(["model", "quantity", "of"]).any()
    rows = comparison[comparison["model"] == "gpt2"].set_index(["quantity", "of"])
    assert len(rows) == 7 + 5 * 8 + 2 * 4 + 1 + 3 + 2 + 2
    assert rows.loc[("net_reduction_p", ""), "value"] == 0.005
    assert rows.loc[("net_reduction", ""), ["value", "low", "high"]].tolist() == [7.22, 6, 8]
    random = rows.loc[("group_random_share", "TP-"), ["value", "low", "high"]]
    assert random.tolist() == [0.4, 0.3, 0.5]
    assert rows.loc[("group_share_p", "TP-"), "value"] == 0.4
    for group, share, count in zip(GROUPS, SHARES, COUNTS, strict=True):
        found = rows.loc[("group_share", group), ["value", "low", "high"]].to_list()
        assert found == pytest.approx([share, share - 0.01, share + 0.02])
        assert rows.loc[("group_neurons", group), "value"] == count
        assert rows.loc[("group_reduction", group), "value"] == pytest.approx(47.96 * share)
    assert rows.loc[("effect_share", "patch_tp"), "value"] == 0.24
    assert rows.loc[("stream_share", "own"), ["value", "low", "high"]].tolist() == [0.55, 0.5, 0.6]
    assert rows.loc[("stream_share", "same"), "value"] == -0.1


def test_every_sum_of_chosen_neurons_says_whether_it_is_corrected(comparison):
    marks = comparison.groupby("quantity")["corrected_for_selection"].unique().map("".join)
    for quantity, mark in marks.items():
        if "crossfitted" in quantity:
            assert mark == "yes"
        elif quantity in (
            "positive_reduction", "group_reduction", "group_share", "group_random_share"
        ):  # fmt: skip
            assert mark == "no"
        else:
            assert mark == ""
    assert set(marks.index) >= {"crossfitted_positive_reduction", "group_crossfitted_share"}


def test_the_effect_is_the_difference_turned_round(comparison):
    rows = comparison.set_index(["model", "quantity", "of"])
    found = rows.loc[("gpt2", "effect", "dpo"), ["value", "low", "high"]].tolist()
    assert found == [0.245, 0.22, 0.26]


def test_random_sets_have_the_share_of_the_effect_that_their_toxicity_is(comparison):
    rows = comparison.set_index(["model", "quantity", "of"])
    found = rows.loc[("gpt2", "random_share", "patch_tp"), ["value", "low", "high"]].tolist()
    # none 0.453, dpo 0.208: the sets' mean lies a tenth of the way, their interval 0 to a fifth.
    assert found == pytest.approx([0.1, 0.0, 0.2])
    assert rows.loc[("gpt2", "random_p", "patch_tp"), "value"] == 0.05
    assert rows.loc[("silent", "random_share", "patch_tp"), ["value", "low"]].isna().all()


def test_none_and_dpo_have_no_share_to_tell(comparison):
    of = comparison.loc[comparison["quantity"] == "effect_share", "of"]
    assert set(of) == {"patch_tp", "control_tp", "ablate_top_9"}


def test_the_first_rows_are_laid_out_as_published(comparison):
    shown = format_models(comparison)
    assert shown.columns.tolist() == ["", "gpt2", "silent"]
    column = dict(zip(shown[""], shown["gpt2"], strict=True))
    assert list(column.items())[:6] == [
        ("neurons", "98,304"),
        ("sum of positive reductions / net (not corrected)", "47.96 / 7.22"),
        ("share TP- / TN+ / AP+ / AN-, % (not corrected)", "32 / 24 / 7 / 37"),
        ("counts TP- / TN+ / AP+ / AN-", "3967 / 22444 / 1838 / 29252"),
        ("neurons reducing, %", "58.49"),
        ("m_pre > 0, %", "12.71"),
    ]
    assert column["net reduction"] == "7.22 [6, 8]"
    assert column["sum of positive reductions (cross-fitted)"] == "40.25 [38, 43]"
    assert column["share AP+, % (cross-fitted)"] == "6.9 [5.9, 8.9]"
    assert column["dpo's effect on toxicity"] == "0.245 [0.220, 0.260]"
    assert column["share of it: patch_tp, %"] == "24.0 [14.0, 44.0]"
    assert column["its p among random directions"] == "0.005"
    groups = "TP- / TN+ / AP+ / AN-"
    assert column[f"mean share {groups} along random directions, %"] == "40 / 30 / 20 / 10"
    assert column[f"p of the share {groups} among these"] == "0.400 / 0.300 / 0.200 / 0.100"
    assert column["neurons' share of the stream's shift, %"] == "55.0 [50.0, 60.0]"
    assert column["verdict: patch_tp"] == "no longer writes"
    assert column["share of it: ablate_top_9, %"] == "-5.0 [-15.0, 15.0]"
    assert "share of it: control_tp, %" not in column


def test_a_model_without_an_effect_has_undefined_shares(comparison):
    shown = format_models(comparison)
    assert shown["silent"].tolist()[-4::2] == ["undefined", "undefined"]


def test_a_comparison_survives_csv(comparison, tmp_path):
    comparison.to_csv(tmp_path / "c.csv", index=False)
    found = read_csv(tmp_path / "c.csv")
    pd.testing.assert_frame_equal(found, comparison)
