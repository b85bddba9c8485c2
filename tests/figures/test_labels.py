"""Labels in figures that do not overlap."""

import numpy as np
import pytest

from dpo_neurons.figures.labels import find_readable_labels, spread_labels


def test_spread_labels_keep_order_gap_and_bounds():
    positions = np.array([0.5, 0.1, 0.52, 0.99, 0.98])
    placed = spread_labels(positions, gap=0.1, low=0, high=1)
    assert placed == pytest.approx([0.46, 0.1, 0.56, 1.0, 0.9])
    assert spread_labels(np.array([]), 0.1, 0, 1).size == 0


def test_labels_keep_clear_of_points_and_of_earlier_labels():
    # The first label ends at 58; the second point lies under it; the third's label meets its end.
    x, y = np.array([0.0, 30, 55, 200]), np.array([0.0, 0, 11, 0])
    assert find_readable_labels(x, y, np.full(4, 50.0), 12, 8).tolist() == [
        False,
        False,
        True,
        True,
    ]
    x, y = np.array([0.0, 0, 0]), np.array([0.0, 10, 13])
    assert find_readable_labels(x, y, np.full(3, 50.0), 12, 8).tolist() == [True, False, True]
    assert find_readable_labels(np.empty(0), np.empty(0), np.empty(0), 12, 8).size == 0
