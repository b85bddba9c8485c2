"""Direction files: unit rows, the same bytes for the same direction, and what is refused."""

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors import safe_open
from safetensors.numpy import save_file

from dpo_neurons.directions.direction_files import (
    read_direction,
    read_lengths,
    scale_to_unit_rows,
    write_direction,
)
from dpo_neurons.errors import InputError
from dpo_neurons.models.value_vectors import check_width


def test_a_vector_becomes_one_unit_row():
    np.testing.assert_allclose(scale_to_unit_rows(np.array([3.0, 0.0, -4.0])), [[0.6, 0.0, -0.8]])


@given(arrays(np.float64, (3, 4), elements=st.floats(-1e3, 1e3).filter(lambda x: abs(x) > 1e-3)))
def test_rows_have_length_one_and_keep_their_side(vectors):
    rows = scale_to_unit_rows(vectors)
    np.testing.assert_allclose((rows**2).sum(axis=1), 1, rtol=1e-12)
    lengths = np.sqrt((vectors**2).sum(axis=1))
    np.testing.assert_allclose(rows * lengths[:, None], vectors, rtol=1e-12)


@pytest.mark.parametrize("size", [5e-324, 1e-300, 1e300])
def test_neither_huge_nor_tiny_numbers_lose_their_direction(size):
    np.testing.assert_allclose(
        scale_to_unit_rows(np.array([size, -size])), [[0.5**0.5, -(0.5**0.5)]]
    )


@pytest.mark.parametrize(
    "vectors",
    [
        [0.0, 0.0],
        [[1.0, 0.0], [0.0, 0.0]],
        [1.0, np.nan],
        [1.0, np.inf],
        [],
        np.zeros((0, 3)),
        np.zeros((3, 0)),
        np.ones((2, 2, 2)),
    ],
    ids=str,
)
def test_what_has_no_direction_is_refused_with_where_it_is(vectors):
    with pytest.raises(InputError, match=r"^mine\.npy: "):
        scale_to_unit_rows(np.array(vectors), "mine.npy")


def test_what_is_written_is_read(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(3, 8))
    write_direction(tmp_path / "d.safetensors", vectors, {"kind": "probe", "über": '"quoted"\n'})
    rows = read_direction(tmp_path / "d.safetensors")
    assert rows.dtype == np.float64
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(rows, vectors / lengths, atol=1e-7)
    with safe_open(tmp_path / "d.safetensors", framework="np") as tensors:
        assert tensors.keys() == ["direction"]
        assert tensors.get_tensor("direction").dtype == np.float32
        assert tensors.get_tensor("direction").shape == (3, 8)
        stored = zlib.crc32(tensors.get_tensor("direction").tobytes())
        noted = tensors.metadata()
        del noted["lengths"]
        assert noted == {"kind": "probe", "über": '"quoted"\n', "crc32": f"{stored:08x}"}


def test_how_long_vectors_were_is_read_again(tmp_path):
    path = tmp_path / "d.safetensors"
    write_direction(path, np.array([[3.0, -4.0], [0.0, 5e-4]]), {"kind": "probe"})
    assert read_lengths(path) == [5, 5e-4]
    np.testing.assert_allclose(read_direction(path), [[0.6, -0.8], [0, 1]], atol=1e-7)
    save_file({"direction": np.ones((1, 1), dtype=np.float32)}, path)
    with pytest.raises(InputError, match="does not say how long its vectors were; delete it"):
        read_lengths(path)


def test_the_same_direction_gives_the_same_bytes_in_whatever_order_it_is_described(tmp_path):
    keys = [f"key_{number}" for number in range(20)]
    for name, order in (("one", keys), ("two", keys[::-1])):
        write_direction(tmp_path / name, np.ones(5), {key: key for key in order})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("width", [1, 2, 3, 5, 64])
def test_numbers_begin_at_a_multiple_of_eight_bytes(tmp_path, width):
    write_direction(tmp_path / "d", np.ones(width), {"kind": "x" * width})
    content = (tmp_path / "d").read_bytes()
    assert int.from_bytes(content[:8], "little") % 8 == 0
    assert read_direction(tmp_path / "d").shape == (1, width)


@pytest.mark.parametrize("keep", [0, 7, 40, -1])
def test_a_truncated_file_is_named(tmp_path, keep):
    path = tmp_path / "d.safetensors"
    write_direction(path, np.ones(8), {"kind": "probe"})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="cannot be read as the tensor 'direction'") as caught:
        read_direction(path)
    assert str(path) in str(caught.value)


def test_a_file_without_a_direction_is_named(tmp_path):
    save_file({"weight": np.ones((1, 4))}, tmp_path / "d.safetensors")
    with pytest.raises(InputError, match=r"d\.safetensors"):
        read_direction(tmp_path / "d.safetensors")


def test_a_direction_must_be_as_wide_as_the_model(tmp_path):
    check_width(np.ones((2, 16)), 16, tmp_path / "d", tmp_path / "m")
    with pytest.raises(InputError, match=r"d: the direction is 16 wide.*m is 32 wide"):
        check_width(np.ones((2, 16)), 32, tmp_path / "d", tmp_path / "m")
