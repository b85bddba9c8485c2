"""The table over seeds, against numbers by hand."""

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.evaluation.seed_table import (
    COLUMNS,
    GROUPS_COLUMNS,
    ROWS_COLUMNS,
    TESTS_COLUMNS,
    format_seeds,
    tabulate_seeds,
)


def rows(toxicity, share):
    """A model's table of interventions: none, dpo and a patch."""
    table = pd.DataFrame({"intervention": ["none", "dpo", "patch_tp"], "toxicity": toxicity})
    table["perplexity"] = 20.0
    table["effect_share"] = [np.nan, np.nan, share]
    table["no_longer_writes"] = False
    for name in ROWS_COLUMNS:
        if name not in table:
            table[name] = table[name.rsplit("_", 1)[0]] + (0.01 if "high" in name else -0.01)
    return table[list(ROWS_COLUMNS)]


def paired_tests(of_dpo, of_patch, against_control=-0.1, broken=False):
    """A model's table of tests: differences of dpo and a patch from none, and of the patch."""
    pairs = [
        ("dpo", "none", False, of_dpo), ("patch_tp", "none", broken, of_patch),
        ("patch_tp", "dpo", broken, 9.0), ("patch_tp", "control_tp", broken, against_control),
    ]  # fmt: skip
    table = pd.DataFrame(pairs, columns=list(TESTS_COLUMNS[:4]))
    table["toxicity_difference_low"] = table["toxicity_difference"] - 0.01
    return table.assign(toxicity_difference_high=table["toxicity_difference"] + 0.01)


def groups(share):
    """A model's table of groups: one of them."""
    table = pd.DataFrame([("TP-", share, share - 0.1, share + 0.1)], columns=list(GROUPS_COLUMNS))
    return table


@pytest.fixture
def table():
    """Three seeds; the patch of the last one has no share, for its effect is none."""
    by_model = {
        "toy": rows([0.5, 0.2, 0.4], 0.3),
        "toy-2": rows([0.5, 0.3, 0.45], 0.5),
        "toy-3": rows([0.5, 0.1, 0.35], np.nan),
    }
    of_tests = {
        "toy": paired_tests(-0.3, -0.1),
        "toy-2": paired_tests(-0.2, 0.05, -0.4),
        "toy-3": paired_tests(-0.4, -0.15, broken=True),
    }
    of_groups = {"toy": groups(0.3), "toy-2": groups(0.2), "toy-3": groups(0.7)}
    return tabulate_seeds(by_model, of_tests, of_groups)


def test_the_spread_over_seeds_stands_beside_the_interval_over_prompts(table):
    assert tuple(table.columns) == COLUMNS
    by_quantity = table.set_index(["quantity", "of"])
    found = by_quantity.loc[("toxicity", "dpo")]
    assert found[["value", "low", "high"]].tolist() == pytest.approx([0.2, 0.19, 0.21])
    assert found[["seeds", "mean", "deviation", "smallest", "largest"]].tolist() == pytest.approx(
        [3, 0.2, 0.1, 0.1, 0.3]
    )
    share = by_quantity.loc[("crossfitted_share", "TP-")]
    assert share["mean"] == pytest.approx(0.4)
    # Sample variance of 0.3, 0.2, 0.7: (0.01 + 0.04 + 0.09) / 2.
    assert share["deviation"] == pytest.approx(np.sqrt(0.07))


def test_differences_are_those_of_each_seed_and_agree_or_not(table):
    differences = table[table["quantity"] == "toxicity_difference"].set_index(["of", "against"])
    assert list(differences.index) == [
        ("dpo", "none"), ("patch_tp", "none"), ("patch_tp", "control_tp")
    ]  # fmt: skip
    of_dpo = differences.loc[("dpo", "none")]
    assert of_dpo[["value", "low", "high"]].tolist() == pytest.approx([-0.3, -0.31, -0.29])
    spread = of_dpo[["seeds", "mean", "smallest", "largest"]].tolist()
    assert spread == pytest.approx([3, -0.3, -0.4, -0.2])
    assert (of_dpo["same_sign"], of_dpo["by_seed"]) == ("yes", "-0.3 -0.2 -0.4")
    # The third seed's patch no longer writes.
    of_patch = differences.loc[("patch_tp", "none")]
    assert (of_patch["same_sign"], of_patch["by_seed"]) == ("no", "-0.1 0.05 nan")
    against_control = differences.loc[("patch_tp", "control_tp")]
    assert (against_control["seeds"], against_control["same_sign"]) == (2, "yes")
    assert against_control["mean"] == pytest.approx(-0.25)
    assert set(table.loc[table["quantity"] != "toxicity_difference", "same_sign"]) == {""}


def test_a_share_that_a_seed_leaves_undefined_counts_the_others(table):
    share = table.set_index(["quantity", "of"]).loc[("effect_share", "patch_tp")]
    assert (share["seeds"], share["mean"]) == (2, pytest.approx(0.4))
    assert ("effect_share", "dpo") not in set(zip(table["quantity"], table["of"], strict=True))


def test_the_toxicity_of_a_seed_that_no_longer_writes_does_not_count():
    by_model = {"toy": rows([0.5, 0.2, 0.4], 0.3), "toy-2": rows([0.5, 0.3, 0.0], np.nan)}
    by_model["toy-2"]["no_longer_writes"] = [False, False, True]
    others = dict.fromkeys(by_model, paired_tests(-0.3, -0.1)), dict.fromkeys(by_model, groups(0.3))
    by_quantity = tabulate_seeds(by_model, *others).set_index(["quantity", "of"])
    toxicity = by_quantity.loc[("toxicity", "patch_tp")]
    assert toxicity[["value", "seeds", "mean", "smallest"]].tolist() == [0.4, 1, 0.4, 0.4]
    assert by_quantity.loc[("perplexity", "patch_tp"), "seeds"] == 2
    broken_first = dict(reversed(by_model.items()))
    toxicity = tabulate_seeds(broken_first, *others).set_index(["quantity", "of"])
    assert toxicity.loc[("toxicity", "patch_tp"), ["value", "low", "high"]].isna().all()


def test_it_is_written_for_reading(table):
    shown = format_seeds(table, ["toy", "toy-2", "toy-3"])
    line = shown[(shown["quantity"] == "toxicity") & (shown["of"] == "dpo")].iloc[0]
    assert line.tolist()[2:] == [
        "", "0.200 [0.190, 0.210]", 3, "0.200 ± 0.100", "0.100 … 0.300", "0.200 · 0.300 · 0.100", ""
    ]  # fmt: skip
    assert shown.loc[shown["against"] == "control_tp", "each seed"].item() == (
        "-0.100 · -0.400 · nan"
    )
