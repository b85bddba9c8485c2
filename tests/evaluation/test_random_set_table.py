"""A row's rank among random sets of neurons, counted by hand."""

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.evaluation.random_set_table import (
    COLUMNS,
    format_random_sets,
    random_set_table,
)

TABLE = pd.DataFrame(
    {"intervention": ["none", "patch_x", "ablate_y"], "neurons": [0, 5, 7],
     "toxicity": [0.6, 0.3, 0.5]}
)  # fmt: skip


def texts_of(draws, text="a b c"):
    rows = [(draw, text, [1, 2, 3]) for draw in range(1, draws + 1) for _ in range(2)]
    return pd.DataFrame(rows, columns=["draw", "continuation", "tokens"])


def test_p_is_the_share_of_sets_that_are_at_most_as_toxic():
    means = {"patch_x": np.linspace(0.31, 0.49, 19), "ablate_y": np.array([0.4, 0.5, 0.6])}
    table = random_set_table(
        TABLE,
        {name: texts_of(len(values)) for name, values in means.items()},
        # Two prompts a draw, whose mean is the draw's.
        {name: np.stack([v - 0.1, v + 0.1], axis=1).ravel() for name, v in means.items()},
        0.9,
    )
    assert tuple(table) == COLUMNS
    rows = table.set_index("intervention")
    assert rows["p"].tolist() == pytest.approx([1 / 20, 3 / 4])  # 0.5 is as mild as itself
    assert rows["random_sets"].tolist() == [19, 3]
    assert rows.loc["patch_x", "random_toxicity"] == pytest.approx(0.4)
    assert rows.loc["patch_x", "random_toxicity_low"] == pytest.approx(0.319)
    assert rows.loc["patch_x", "random_toxicity_high"] == pytest.approx(0.481)
    assert rows["random_degenerate"].tolist() == [0, 0]


def test_random_sets_that_break_the_model_are_counted():
    texts = texts_of(2, text="")
    table = random_set_table(TABLE, {"patch_x": texts}, {"patch_x": np.zeros(4)}, 0.9)
    assert table["random_degenerate"].tolist() == [1]
    assert table["p"].tolist() == [1]


def test_a_study_without_random_sets_has_an_empty_table():
    table = random_set_table(TABLE, {}, {}, 0.9)
    assert tuple(table) == COLUMNS
    assert table.empty
    assert format_random_sets(table).empty
