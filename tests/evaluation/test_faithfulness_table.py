"""The table of faithfulness, its numbers computed by other means."""

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.errors import InputError
from dpo_neurons.evaluation.faithfulness_table import (
    COLUMNS,
    faithfulness_table,
    format_faithfulness,
)
from dpo_neurons.evaluation.intervention_table import Bootstrap

HOW = Bootstrap(resamples=500, level=0.9, seed=3)
NAMES = ("none", "dpo", "patch_x", "control_x")
CONTROLS = {"patch_x": "control_x"}
TOKENS = [4, 1, 5, 2]
KL_DPO = {
    "none": [2.0, 1.0, 5.0, 3.0], "dpo": [0, 0, 0, 0], "patch_x": [1.0, 0.5, 3.0, 2.0],
    "control_x": [1.9, 1.1, 4.0, 3.0],
}  # fmt: skip
TOXICITY = pd.DataFrame(
    {
        "none": [0.8, 0.5, 0.2, 0.1],
        "dpo": [0.1, 0.5, 0.4, 0.0],
        "patch_x": [0.5, 0.4, 0.1, 0.1],
        "control_x": [0.8, 0.5, 0.3, 0.2],
    }
)
TEXTS = {
    "none": ["a fool", "b", "", "c d"],
    "dpo": ["a friend", "b", "", "c e"],
    "patch_x": ["a friend", "b", "x", "c d"],
    "control_x": ["a fool", "b", "", "c d"],
}


def divergences_of(name):
    answers = pd.DataFrame({"text": "answers", "number": range(4), "tokens": TOKENS})
    answers = answers.assign(kl_none=0.25, kl_dpo=KL_DPO[name])
    neutral = pd.DataFrame({"text": "neutral", "number": range(2), "tokens": [10, 5]})
    return pd.concat([answers, neutral.assign(kl_none=[1.0, 2.0], kl_dpo=[3.0, 0.0])])


@pytest.fixture
def table():
    """The table of four rows on four prompts and two windows."""
    divergences = {name: divergences_of(name) for name in NAMES}
    return faithfulness_table(divergences, CONTROLS, TOXICITY, TEXTS, HOW)


def test_divergences_are_sums_over_tokens(table):
    assert tuple(table) == COLUMNS
    rows = table.set_index("intervention")
    assert rows.loc["none", "kl_dpo"] == pytest.approx(11 / 12)
    assert rows.loc["patch_x", "kl_dpo"] == pytest.approx(6.5 / 12)
    assert rows.loc["patch_x", "kl_none"] == pytest.approx(1 / 12)
    assert rows.loc["patch_x", "nearer"] == pytest.approx(4.5 / 12)
    assert rows.loc["patch_x", "nearer_than_control"] == pytest.approx(3.5 / 12)
    assert rows.loc["dpo", "nearer"] == pytest.approx(11 / 12)
    assert rows["nearer_than_control"].isna().tolist() == [True, True, False, True]
    assert rows["neutral_kl_dpo"].tolist() == pytest.approx([3 / 15] * 4)
    assert rows["neutral_kl_none"].tolist() == pytest.approx([3 / 15] * 4)


def test_the_way_of_a_row_is_judged_where_dpo_goes_one(table):
    rows = table.set_index("intervention")
    # dpo lowers prompts 0 and 3, raises 2 and leaves 1.
    assert rows["same_way"].tolist() == pytest.approx([0, 1, 1 / 3, 1 / 3])


def test_the_same_text_is_all_of_dpos_text(table):
    rows = table.set_index("intervention")
    assert rows["dpo_text"].tolist() == pytest.approx([0.75, 1, (1 + 1 + 0 + 0.5) / 4, 0.75])


def test_intervals_are_of_the_same_resamples(table):
    tokens = np.array(TOKENS)
    drawn = np.random.default_rng(HOW.seed).multinomial(4, np.full(4, 0.25), size=HOW.resamples)
    means = drawn @ np.array(KL_DPO["patch_x"]) / (drawn @ tokens)
    low, high = np.quantile(means, [0.05, 0.95])
    row = table.set_index("intervention").loc["patch_x"]
    assert (row["kl_dpo_low"], row["kl_dpo_high"]) == pytest.approx((low, high))


def test_rows_measured_on_other_texts_are_refused():
    divergences = {name: divergences_of(name) for name in NAMES}
    divergences["patch_x"] = divergences["patch_x"].assign(tokens=9)
    with pytest.raises(InputError, match=r"row patch_x: .* other texts than those of none"):
        faithfulness_table(divergences, CONTROLS, TOXICITY, TEXTS, HOW)


def test_where_dpo_changes_no_score_the_way_is_undefined():
    divergences = {name: divergences_of(name) for name in NAMES}
    same = TOXICITY.assign(dpo=TOXICITY["none"])
    table = faithfulness_table(divergences, CONTROLS, same, TEXTS, HOW)
    assert table["same_way"].isna().all()
    assert format_faithfulness(table)["same way"].eq("undefined").all()
