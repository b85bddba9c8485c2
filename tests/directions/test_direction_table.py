"""The table of directions: angles and signs by hand, and what chance gives."""

import numpy as np
import pytest

from dpo_neurons.directions.direction_table import (
    COLUMNS,
    count_signs,
    direction_table,
    format_directions,
)
from dpo_neurons.files.table_page import to_markdown

DIRECTIONS = {"probe": np.eye(3)[:1], "svd": np.array([[0.6, 0.8, 0], [0, 0, -1]])}
LAYERS = [
    np.array([[1.0, 0, 1], [1, -1, 0]]),
    np.array([[-2.0, 1, 0], [-1, -1, 5], [0.5, 4, -3]]),
]


def test_pairs_of_rows_by_hand():
    signs = count_signs(DIRECTIONS, LAYERS)
    # Components along the three rows: 1 1 -2 -1 .5, .6 -.2 -.4 -1.4 3.5, -1 0 0 -5 3.
    assert signs.astype(int).tolist() == [[1, 1, 0, 0, 1], [1, 0, 0, 0, 1], [0, 0, 0, 0, 1]]
    table = direction_table(DIRECTIONS, signs)
    assert tuple(table.columns) == COLUMNS
    rows = table.set_index(["first", "first_row", "second", "second_row"])
    assert rows.loc[("probe", "1", "svd", "1"), "cosine"] == pytest.approx(0.6)
    assert rows["same_sign"].tolist() == [4 / 5, 3 / 5, 4 / 5, 4 / 5]
    assert rows.index.tolist()[-1] == ("svd", "1", "svd", "all")
    assert np.isnan(rows["cosine"].iloc[-1])
    assert set(table["neurons"]) == {5}


def test_value_vectors_without_a_preferred_direction_agree_as_often_as_chance_says():
    random = np.random.default_rng(0)
    table = direction_table(DIRECTIONS, count_signs(DIRECTIONS, [random.normal(size=(40_000, 3))]))
    pairs = table[table["second_row"] != "all"]
    np.testing.assert_allclose(pairs["same_sign"], pairs["by_chance"], atol=0.01)
    assert pairs["by_chance"].tolist()[1:] == pytest.approx([0.5, 0.5])


def test_one_row_has_no_pair_and_the_readable_table_is_rounded():
    alone = {"probe": DIRECTIONS["probe"]}
    empty = direction_table(alone, count_signs(alone, LAYERS))
    assert empty.empty
    assert to_markdown(format_directions(empty)).startswith("| first | second |")
    shown = format_directions(direction_table(DIRECTIONS, count_signs(DIRECTIONS, LAYERS)))
    assert shown.iloc[0].tolist() == ["probe, row 1", "svd, row 1", "0.600", "80.0%", "70.5%"]
    assert shown.iloc[-1].tolist() == ["svd, row 1", "svd, row all", "", "80.0%", ""]
