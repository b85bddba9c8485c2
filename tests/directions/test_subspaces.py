"""Subspaces: their bases, by hand and by properties, and the direction of a shift in them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpo_neurons.directions.direction_files import scale_to_unit_rows
from dpo_neurons.directions.subspaces import shift_direction, subspace_basis
from dpo_neurons.errors import InputError

FILE = Path("given.safetensors")


def test_a_basis_by_hand():
    rows = scale_to_unit_rows(np.array([[1.0, 0, 0], [3, 4, 0], [1, -1, -2]]))
    expected = [[1, 0, 0], [0, 1, 0], [0, 0, -1]]
    np.testing.assert_allclose(subspace_basis(rows, FILE), expected, atol=1e-12)


@given(st.integers(1, 6), st.integers(0, 10_000))
def test_a_basis_is_orthonormal_spans_the_rows_and_begins_with_the_first(k, seed):
    rows = scale_to_unit_rows(np.random.default_rng(seed).normal(size=(k, 9)))
    basis = subspace_basis(rows, FILE)
    np.testing.assert_array_equal(basis[0], rows[0])
    np.testing.assert_allclose(basis @ basis.T, np.eye(k), atol=1e-9)
    np.testing.assert_allclose(rows @ basis.T @ basis, rows, atol=1e-9)
    # Row j points along row j of the file, and is orthogonal to the rows before it.
    assert (np.einsum("ij,ij->i", basis, rows) > 0).all()
    assert np.abs(np.triu(rows @ basis.T, 1)).max(initial=0) < 1e-9


def test_orthonormal_rows_are_their_own_basis():
    rows = np.linalg.qr(np.random.default_rng(2).normal(size=(9, 3)))[0].T
    np.testing.assert_allclose(subspace_basis(rows, FILE), rows, atol=1e-12)


@pytest.mark.parametrize(
    ("rows", "number"),
    [
        ([[1.0, 2, 0], [-1, -2, 0]], 2),
        ([[1.0, 0, 0], [0, 1, 0], [3, -4, 1e-6]], 3),
        ([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], 4),
    ],
)
def test_a_row_in_the_span_of_others_is_named(rows, number):
    with pytest.raises(InputError, match=f"row {number} of the direction lies in") as caught:
        subspace_basis(scale_to_unit_rows(np.array(rows)), FILE)
    assert str(caught.value).startswith(f"{FILE}: ")


def test_the_shift_points_along_the_drop_and_the_first_row():
    np.testing.assert_allclose(shift_direction(np.array([3.0, -4.0])), [0.6, -0.8])
    np.testing.assert_allclose(shift_direction(np.array([-3.0, -4.0])), [0.6, 0.8])
    np.testing.assert_array_equal(shift_direction(np.array([0.0, 0.0])), [1, 0])
    np.testing.assert_array_equal(shift_direction(np.array([-0.3])), [1])
