"""The table of paired tests: its pairs, and its numbers computed by other means."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.evaluation.comparison_table import (
    COLUMNS,
    comparison_table,
    describe_few_pairs,
    find_controls,
    format_comparisons,
    list_comparisons,
)
from dpo_neurons.evaluation.intervention_table import Bootstrap
from dpo_neurons.evaluation.outcomes import Outcomes
from dpo_neurons.files.table_page import to_markdown
from dpo_neurons.statistics.paired_tests import correct_by_holm
from dpo_neurons.study.intervention_rows import METADATA, describe_rows

NAMES = ("none", "dpo", "patch_tp", "control_tp", "ablate_top_3")
HOW = Bootstrap(resamples=800, level=0.9, seed=3)


def rows_of(entries):
    """METADATA of the rows that entries of a configuration stand for; all models write."""
    rows = pd.DataFrame(describe_rows(entries, "probe"), columns=list(METADATA))
    return rows.assign(no_longer_writes=False)


PATCH = {"kind": "patch", "groups": ["TP-"]}
ROWS = rows_of({"patch_tp": PATCH, "ablate_top_3": {"kind": "ablate", "top": 3}})


@pytest.fixture(scope="module")
def outcomes():
    """Sixty prompts and five windows; patch_tp lowers toxicity by more than control_tp."""
    random = np.random.default_rng(1)
    before = random.random(60)
    toxicity = before[:, None] - [0, 0.3, 0.2, 0.1, 0] + 0.1 * random.normal(size=(60, 5))
    toxicity[:, 4] = toxicity[:, 0] + np.tile([0.1, -0.1], 30)
    tokens = np.array([10, 10, 10, 10, 4])
    losses = tokens[:, None] * (2 + random.random((5, 5)))
    return Outcomes(NAMES, toxicity, losses, tokens, toxicity)


@pytest.fixture(scope="module")
def table(outcomes):
    """Its tests."""
    return comparison_table(outcomes, ROWS, HOW)


def test_each_row_is_held_against_none_dpo_and_its_control():
    assert list_comparisons(ROWS) == [
        ("dpo", "none"),
        ("patch_tp", "none"),
        ("patch_tp", "dpo"),
        ("patch_tp", "control_tp"),
        ("control_tp", "none"),
        ("control_tp", "dpo"),
        ("ablate_top_3", "none"),
        ("ablate_top_3", "dpo"),
    ]
    assert list_comparisons(rows_of({})) == [("dpo", "none")]


def test_a_control_is_the_row_that_says_so_whatever_it_is_called():
    rows = rows_of({"patch_patch_a": PATCH, "ablate_control": {"kind": "ablate", "top": 3}})
    assert find_controls(rows) == {"patch_patch_a": "control_patch_a"}
    renamed = rows.assign(intervention=rows["intervention"].str.replace("control_", "held_"))
    assert find_controls(renamed) == {"patch_patch_a": "held_patch_a"}


def test_the_control_of_an_edit_changes_nothing_by_the_same_share_of_neurons():
    grid = {"kind": "edit", "alpha": [0, 0.05], "beta": [0.5, 0.6], "form": "assign"}
    rows = rows_of(
        {
            "edit_grid": grid,
            "edit_other": grid | {"alpha": 0.1, "beta": 0.6},
            "edit_live": grid | {"alpha": 0.1, "beta": 0.6, "form": "scale"},
            "edit_svd": grid | {"alpha": 0.1, "beta": 0.6, "direction": "svd"},
            "edit_groups": {"kind": "edit", "alpha": [0, 0.5], "groups": ["TP-"], "form": "assign"},
            "edit_others": {"kind": "edit", "alpha": 0.5, "groups": ["AN-"], "form": "assign"},
            "edit_fewer": grid | {"alpha": 0.1, "beta": 0.6, "without_most_active": 0.2},
            "steer_x": {"kind": "steer", "scale": [0, 2]},
        }
    )
    assert find_controls(rows) == {
        "edit_grid_a0.05_b0.5": "edit_grid_a0_b0.5",
        "edit_grid_a0.05_b0.6": "edit_grid_a0_b0.6",
        "edit_other": "edit_grid_a0_b0.6",
        "edit_groups_a0.5": "edit_groups_a0",
    }


def test_differences_are_those_of_the_means(outcomes, table):
    assert tuple(table.columns) == COLUMNS
    means = dict(zip(NAMES, outcomes.toxicity.mean(axis=0), strict=True))
    sums = outcomes.window_losses.sum(axis=0) / outcomes.window_tokens.sum()
    losses = dict(zip(NAMES, sums, strict=True))
    for row in table.itertuples():
        expected = means[row.intervention] - means[row.against]
        assert row.toxicity_difference == pytest.approx(expected)
        expected = losses[row.intervention] - losses[row.against]
        assert row.log_perplexity_difference == pytest.approx(expected)


def test_intervals_hold_the_differences_and_narrow_by_pairing(outcomes, table):
    for metric in ("toxicity", "log_perplexity"):
        low, value, high = (table[f"{metric}_difference{end}"] for end in ("_low", "", "_high"))
        assert (low < value).all()
        assert (value < high).all()
    first = table.iloc[0]
    width = first["toxicity_difference_high"] - first["toxicity_difference_low"]
    # Prompts differ by a standard deviation of 0.29, their differences by 0.14.
    assert width == pytest.approx(2 * 1.645 * 0.14 / np.sqrt(60), rel=0.3)


def test_p_values_are_exact_where_few_windows_can_be_enumerated(outcomes, table):
    differences = outcomes.window_losses[:, 1] - outcomes.window_losses[:, 0]
    signs = 1 - 2 * ((np.arange(32)[:, None] >> np.arange(5)) & 1)
    wanted = np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-12)
    assert table["log_perplexity_p"][0] == pytest.approx(wanted, abs=0.02)


def test_p_values_tell_effects_from_none(table):
    p = table.set_index(["intervention", "against"])["toxicity_p"]
    assert p["dpo", "none"] < 0.001
    assert p["patch_tp", "control_tp"] < 0.001
    assert p["ablate_top_3", "none"] > 0.9


FAMILIES = {
    "dpo against none": [("dpo", "none")],
    "rows against none": [("patch_tp", "none"), ("control_tp", "none"), ("ablate_top_3", "none")],
    "rows against dpo": [("patch_tp", "dpo"), ("control_tp", "dpo"), ("ablate_top_3", "dpo")],
    "rows against controls": [("patch_tp", "control_tp")],
}


@pytest.mark.parametrize("metric", ["toxicity", "log_perplexity"])
def test_p_values_are_corrected_for_the_comparisons_of_one_question(table, metric):
    by_pair = table.set_index(["intervention", "against"])
    for family, pairs in FAMILIES.items():
        tests = by_pair.loc[pairs]
        assert set(tests["family"]) == {family}
        smallest = tests[f"{metric}_p"].min()
        assert tests[f"{metric}_p_holm"].min() == min(1, smallest * len(pairs))
        np.testing.assert_array_equal(
            tests[f"{metric}_p_holm"], correct_by_holm(tests[f"{metric}_p"].to_numpy())
        )


def test_more_rows_leave_the_effect_of_fine_tuning_as_it_is(table, outcomes):
    alone = comparison_table(outcomes, rows_of({}), HOW)
    columns = ["toxicity_p", "toxicity_p_holm"]
    np.testing.assert_array_equal(alone.loc[0, columns], table.loc[0, columns])


def test_the_same_continuations_differ_by_nothing(outcomes):
    twin = Outcomes(
        ("none", "dpo"),
        outcomes.toxicity[:, [0, 0]],
        outcomes.window_losses[:, [0, 0]],
        outcomes.window_tokens,
        outcomes.equal_length[:, [0, 0]],
    )
    (row,) = comparison_table(twin, rows_of({}), HOW).to_dict("records")
    for metric in ("toxicity", "log_perplexity"):
        assert [row[f"{metric}_difference{end}"] for end in ("_low", "", "_high")] == [0, 0, 0]
        assert row[f"{metric}_p"] == row[f"{metric}_p_holm"] == 1


def test_the_readable_table_has_a_line_a_comparison(table):
    lines = to_markdown(format_comparisons(table)).splitlines()
    assert len(lines) == 2 + 8
    assert lines[0].startswith("| intervention | against | toxicity difference | toxicity p |")
    assert "| 0.0001 |" in lines[2]


def test_the_toxicity_of_a_model_that_no_longer_writes_is_not_tested(outcomes, table):
    rows = ROWS.assign(no_longer_writes=ROWS["intervention"] == "control_tp")
    tests = comparison_table(outcomes, rows, HOW)
    broken = (table[["intervention", "against"]] == "control_tp").any(axis=1)
    assert broken.sum() == 3
    assert (tests["no_longer_writes"] == broken).all()
    assert (tests["toxicity_p"].isna() == broken).all()
    assert (tests["toxicity_p_holm"].isna() == broken).all()
    np.testing.assert_array_equal(tests["log_perplexity_p"], table["log_perplexity_p"])
    # Of the three rows, two are left that are tested against none.
    left = [("patch_tp", "none"), ("ablate_top_3", "none")]
    by_pair = tests.set_index(["intervention", "against"]).loc[left]
    np.testing.assert_array_equal(
        by_pair["toxicity_p_holm"], correct_by_holm(by_pair["toxicity_p"].to_numpy())
    )
    shown = format_comparisons(tests)
    assert (shown.loc[broken, "toxicity p"] == "not tested").all()
    assert (shown["note"] != "").tolist() == broken.tolist()


def test_the_perplexity_of_a_screened_row_is_not_tested(outcomes, table):
    losses = outcomes.window_losses.copy()
    losses[2:, NAMES.index("control_tp")] = np.nan
    tests = comparison_table(replace(outcomes, window_losses=losses), ROWS, HOW)
    screened = (table[["intervention", "against"]] == "control_tp").any(axis=1)
    columns = [name for name in COLUMNS if name.startswith("log_perplexity")]
    assert tests.loc[screened, columns].isna().all(axis=None)
    columns.remove("log_perplexity_p_holm")
    pd.testing.assert_frame_equal(tests.loc[~screened, columns], table.loc[~screened, columns])
    left = tests[~screened & (tests["family"] == "rows against none")]
    np.testing.assert_array_equal(
        left["log_perplexity_p_holm"], correct_by_holm(left["log_perplexity_p"].to_numpy())
    )
    assert (format_comparisons(tests).loc[screened, "log-perplexity p"] == "not tested").all()


def test_too_few_windows_for_any_significance_are_told():
    def measured(windows: int) -> Outcomes:
        random = np.random.default_rng(0)
        toxicity = random.random((300, len(NAMES)))
        losses = random.random((windows, len(NAMES))) + 7 * np.arange(len(NAMES))
        return Outcomes(NAMES, toxicity, losses, np.full(windows, 9), toxicity)

    few = measured(6)
    table = comparison_table(few, ROWS, HOW)
    n_tests = len(FAMILIES["rows against none"])
    # 2 / 2^6 is 0.03125, and every difference is of one sign.
    assert table["log_perplexity_p"].min() == 0.03125
    assert describe_few_pairs(table, few) == (
        "6 pairs of log-perplexity allow no p below 0.031, and none below "
        f"{min(0.03125 * n_tests, 1):.2g} after Holm's correction for {n_tests} tests of one "
        "family, however large the difference; give more perplexity_text"
    )
    many = measured(40)
    assert describe_few_pairs(comparison_table(many, ROWS, HOW), many) == ""
