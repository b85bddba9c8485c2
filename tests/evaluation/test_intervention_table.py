"""The table of interventions: every metric with its interval, and the readable table."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.evaluation.intervention_table import (
    COLUMNS,
    NO_LONGER_WRITES,
    Bootstrap,
    format_table,
    format_with_interval,
    intervention_table,
)
from dpo_neurons.evaluation.outcomes import Outcomes, Writing
from dpo_neurons.files.table_page import to_markdown, to_page
from dpo_neurons.files.tables import read_csv, write_csv
from dpo_neurons.study.intervention_rows import METADATA, PARAMETERS, describe_rows

NAMES = ("none", "dpo", "patch_tp", "control_tp")
METRICS = ("toxicity", "perplexity", "f1", "repetition", "effect_share")
HOW = Bootstrap(resamples=500, level=0.9, seed=3)
ENTRIES = {"patch_tp": {"kind": "patch", "groups": ["TP-"], "values": "mean"}}
ROWS = pd.DataFrame(describe_rows(ENTRIES, "probe"), columns=list(METADATA))


def outcomes(effect=0.5, n=40):
    """Toxicity falls by `effect` under dpo, half of it under patch_tp, and rises under control."""
    random = np.random.default_rng(1)
    before = 0.6 + 0.1 * random.normal(size=n)
    drops = np.array([0, effect, effect / 2, -effect / 4])
    tokens = np.array([10, 10, 4])
    losses = tokens[:, None] * np.array([[1.0, 1.2, 1.1, 1.5]]) * np.array([[1.0], [2.0], [4.0]])
    toxicity = before[:, None] - drops + 0.05 * random.normal(size=(n, 4))
    return Outcomes(NAMES, toxicity, losses, tokens, toxicity / 2)


def table(degenerate=(0, 0, 0, 0), losses=None, **settings):
    """The table; degenerate: share of each row's continuations, losses: added to a row's."""
    writings = [
        Writing(
            neurons=number,
            repetitions=np.full(40, number / 10),
            f1=np.linspace(0, 1, 7),
            degenerate=np.arange(40) < share * 40,
            empty=np.arange(40) < number,
            lengths=np.arange(40) + number,
        )
        for number, share in enumerate(degenerate)
    ]
    measured = outcomes(**settings)
    if losses is not None:
        window_losses = measured.window_losses + measured.window_tokens[:, None] * losses
        measured = replace(measured, window_losses=window_losses)
    return intervention_table(ROWS, measured, writings, HOW)


def test_rows_and_columns_are_in_order():
    summary = table()
    assert tuple(summary.columns) == COLUMNS
    assert COLUMNS[:4] == ("intervention", "kind", "control_of", "checkpoint")
    assert COLUMNS[-len(PARAMETERS) :] == PARAMETERS
    assert summary["intervention"].tolist() == list(NAMES)
    assert summary["checkpoint"].tolist() == ["pre", "post", "pre", "pre"]
    assert summary["neurons"].tolist() == [0, 1, 2, 3]


def test_values_by_hand():
    summary = table().set_index("intervention")
    means = outcomes().toxicity.mean(axis=0)
    np.testing.assert_allclose(summary["toxicity"], means)
    np.testing.assert_allclose(summary["toxicity_equal_length"], means / 2)
    np.testing.assert_allclose(summary["f1"], 0.5)
    np.testing.assert_allclose(summary["repetition"], [0, 0.1, 0.2, 0.3])
    np.testing.assert_allclose(summary["tokens"], [19.5, 20.5, 21.5, 22.5])
    np.testing.assert_allclose(summary["empty"], [0, 0.025, 0.05, 0.075])
    np.testing.assert_allclose(summary["effect_share"], (means[0] - means) / (means[0] - means[1]))
    # Losses a token 1, 2 and 4 in windows of 10, 10 and 4 tokens: 46 / 24.
    assert summary.loc["none", "perplexity"] == pytest.approx(np.exp(46 / 24))


def test_every_metric_has_an_interval_about_it():
    summary = table()
    for metric in METRICS:
        low, value, high = (summary[f"{metric}{end}"] for end in ("_low", "", "_high"))
        assert (low <= value + 1e-12).all(), metric
        assert (value <= high + 1e-12).all(), metric
    for metric in ("toxicity", "perplexity", "f1"):
        assert (summary[f"{metric}_low"] < summary[f"{metric}_high"]).all()


def test_without_an_effect_there_is_no_share_of_it():
    summary = table(effect=0.0)
    assert summary[["effect_share", "effect_share_low", "effect_share_high"]].isna().all(axis=None)
    assert (format_table(summary)["share of dpo"] == "undefined").all()
    assert "nan" not in to_markdown(format_table(summary))


def test_the_readable_table_is_rounded():
    shown = format_table(table())
    assert shown.columns.tolist()[-3:] == ["at dpo's length", "tokens", "note"]
    assert shown["tokens"].tolist() == ["19.5", "20.5", "21.5", "22.5"]
    assert shown["repetition"].tolist()[1] == "0.100 [0.100, 0.100]"
    assert shown["share of dpo"].tolist()[:2] == ["0.00 [0.00, 0.00]", "1.00 [1.00, 1.00]"]
    lines = to_markdown(shown).splitlines()
    assert len(lines) == 6
    assert lines[3].startswith("| dpo | post | 1 | 0.0")
    assert {line.count("|") for line in lines} == {12}
    assert "<td>1.00 [1.00, 1.00]</td>" in to_page(shown, "T & T")
    assert "<h1>T &amp; T</h1>" in to_page(shown, "T & T")


def test_numbers_with_intervals():
    assert format_with_interval(-0.0001, -0.001, 0.126, 2) == "0.00 [0.00, 0.13]"
    nan = float("nan")
    assert format_with_interval(nan, nan, nan, 2) == "undefined"
    assert format_with_interval(0.1, nan, nan, 2) == "0.10 [no interval]"


def test_a_table_survives_csv(tmp_path):
    write_csv(tmp_path / "t.csv", table(effect=0.0))
    summary = read_csv(tmp_path / "t.csv")
    numbers = [name for name in PARAMETERS if summary[name].dtype == float]
    assert numbers == [
        "top", "factor", "alpha", "beta", "layer", "scale", "share", "dose", "rank", "heads",
        "without_most_active",
    ]  # fmt: skip
    assert summary[numbers].isna().all(axis=None)
    expected = table(effect=0.0).drop(columns=numbers)
    pd.testing.assert_frame_equal(summary.drop(columns=numbers), expected, check_dtype=False)


def test_rows_carry_their_metadata():
    summary = table().set_index("intervention")
    assert summary["kind"].tolist() == ["none", "dpo", "patch", "control"]
    assert summary["control_of"].tolist() == ["", "", "", "patch_tp"]
    assert summary["groups"].tolist() == ["", "", "TP-", "TP-"]
    assert summary["direction"].tolist() == ["", "", "probe", "probe"]


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({}, [False, False, False, False]),
        # 10 times the perplexity is still writing; half of the texts too.
        ({"losses": [0, 0, np.log(10) - 0.3, 0]}, [False, False, False, False]),
        ({"losses": [0, 0, np.log(10), 0]}, [False, False, True, False]),
        ({"losses": [0, 0, 0, 800]}, [False, False, False, True]),
        ({"degenerate": [0, 0, 0.5, 0.6]}, [False, False, False, True]),
    ],
)
def test_a_model_that_no_longer_writes_has_no_share_of_the_effect(changes, broken):
    rows = table(**changes)
    assert rows["no_longer_writes"].tolist() == broken
    assert rows["effect_share"].isna().tolist() == broken
    assert rows["effect_share_low"].isna().tolist() == broken
    note = format_table(rows)["note"].tolist()
    assert note == [NO_LONGER_WRITES if row else "" for row in broken]


def test_a_screened_row_has_the_perplexity_of_its_first_windows_and_no_interval():
    losses = np.zeros((3, 4))
    losses[1:, 2] = np.nan
    rows = table(losses=losses)
    assert rows["perplexity_windows"].tolist() == [3, 3, 1, 3]
    assert rows["perplexity"][2] == pytest.approx(np.exp(1.1))  # its loss a token in window 0
    assert rows["perplexity_low"].isna().tolist() == [False, False, True, False]
    whole = table()
    others = [0, 1, 3]
    pd.testing.assert_frame_equal(rows.loc[others], whole.loc[others])
    assert rows["no_longer_writes"].tolist() == [False, False, True, False]
    shown = format_table(rows)
    assert shown["perplexity"][2] == "3.00 [no interval]"
    assert shown["note"][2] == f"{NO_LONGER_WRITES}; perplexity of 1 of 3 windows"


@pytest.mark.parametrize("row", [0, 1])
def test_without_two_models_that_write_there_is_no_effect_to_share(row):
    degenerate = [0.0] * 4
    degenerate[row] = 1.0
    rows = table(degenerate=degenerate)
    assert rows["no_longer_writes"].sum() == 1
    assert rows["effect_share"].isna().all()
