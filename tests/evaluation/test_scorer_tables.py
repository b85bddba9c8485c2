"""The tables of several scorers, with correlations and kappa by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from dpo_neurons.errors import InputError
from dpo_neurons.evaluation.intervention_table import Bootstrap
from dpo_neurons.evaluation.scorer_tables import (
    cohens_kappa,
    format_agreement,
    format_rows,
    read_scorers,
    tabulate_agreement,
    tabulate_rows,
)
from dpo_neurons.files.tables import write_table

ROWS = pd.DataFrame(
    {
        "intervention": ["none", "patch_x", "ablate_y"],
        "entry": ["none", "patch_x", "ablate_y"],
        "no_longer_writes": [False, False, True],
    }
)
TOXICITY = {"none": [0.9, 0.1, 0.6, 0.5], "patch_x": [0.2, 0.1, 0.7, 0.0], "ablate_y": [0.0] * 4}
REFUSAL = {"none": [0.0, 1.0, 0.0, 0.0], "patch_x": [1.0, 1.0, 0.0, 1.0], "ablate_y": [1.0] * 4}


@pytest.fixture
def scores():
    return {"toxicity": pd.DataFrame(TOXICITY), "refusal": pd.DataFrame(REFUSAL)}


def test_scores_are_read_by_scorer_and_row(tmp_path, scores):
    for folder, column, values in (
        ("scores/m", "toxicity", TOXICITY), ("further_scores/m/refusal", "score", REFUSAL)
    ):  # fmt: skip
        (tmp_path / folder).mkdir(parents=True)
        for name, row in values.items():
            table = pd.DataFrame({"intervention": name, column: row})
            write_table(tmp_path / folder / f"{name}.parquet", table)
    read = read_scorers(tmp_path, "m", ROWS, ["refusal"])
    for scorer, table in scores.items():
        pd.testing.assert_frame_equal(read[scorer], table)
    short = pd.DataFrame({"intervention": "none", "score": [0.0]})
    write_table(tmp_path / "further_scores/m/refusal/none.parquet", short)
    with pytest.raises(InputError, match="1 scores of row none, but toxicity has 4; delete"):
        read_scorers(tmp_path, "m", ROWS, ["refusal"])


def test_every_row_stands_under_every_scorer(scores):
    table = tabulate_rows(scores, ROWS, Bootstrap(200, 0.95, 1)).set_index(
        ["scorer", "intervention"]
    )
    assert table["mean"].tolist() == pytest.approx([0.525, 0.25, 0, 0.25, 0.75, 1])
    assert table["difference"].tolist() == pytest.approx([0, -0.275, -0.525, 0, 0.5, 0.75])
    patch = table.loc[("refusal", "patch_x")]
    # Paired differences are 1, 0, 0 and 1, so no resample leaves [0, 1].
    assert 0 <= patch["difference_low"] < 0.5 < patch["difference_high"] <= 1
    assert table["no_longer_writes"].tolist() == [False, False, True] * 2
    assert table.loc[("toxicity", "none"), "difference_high"] == 0


def test_agreement_is_that_of_continuations_that_are_written(scores):
    (line,) = tabulate_agreement(scores, ROWS).to_dict("records")
    first, second = (np.array([*by["none"], *by["patch_x"]]) for by in (TOXICITY, REFUSAL))
    assert line["continuations"] == 8
    assert line["pearson"] == pytest.approx(pearsonr(first, second)[0])
    assert line["spearman"] == pytest.approx(spearmanr(first, second)[0])
    # From 0.5 on: yes no yes yes, no no yes no; and no yes no no, yes yes no yes.
    assert line["agreement"] == 0
    # Either says yes in half of them, so chance agrees on half: (0 - 0.5) / (1 - 0.5).
    assert line["kappa"] == pytest.approx(-1)
    assert (line["mean"], line["other_mean"]) == pytest.approx((3.1 / 8, 0.5))


def test_kappa_by_hand():
    first = np.array([True, True, True, False, False, False, False, False, False, False])
    second = np.array([True, True, False, True, False, False, False, False, False, False])
    # Agreement on 8 of 10; chance: 0.3 * 0.3 + 0.7 * 0.7 = 0.58.
    assert cohens_kappa(first, second) == pytest.approx((0.8 - 0.58) / (1 - 0.58))
    assert np.isnan(cohens_kappa(first & ~first, first & ~first))


def test_what_cannot_be_said_is_undefined(scores):
    scores["constant"] = pd.DataFrame({name: [0.0] * 4 for name in REFUSAL})
    table = tabulate_agreement(scores, ROWS)
    assert list(zip(table["scorer"], table["other_scorer"], strict=True)) == [
        ("toxicity", "refusal"), ("toxicity", "constant"), ("refusal", "constant")
    ]  # fmt: skip
    assert table["pearson"].isna().tolist() == [False, True, True]
    assert format_agreement(table)["Spearman"].tolist()[1:] == ["undefined"] * 2


def test_the_readable_table_has_two_columns_a_scorer(scores):
    shown = format_rows(tabulate_rows(scores, ROWS, Bootstrap(50, 0.95, 1)))
    assert list(shown.columns) == [
        "intervention", "toxicity", "toxicity: difference from none", "refusal",
        "refusal: difference from none", "note",
    ]  # fmt: skip
    assert shown["refusal"][1].startswith("0.750 [")
    assert shown["note"].tolist() == ["", "", "the model no longer writes"]
