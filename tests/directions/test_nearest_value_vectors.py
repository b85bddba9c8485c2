"""The value vectors closest to a direction, compared with sorting all cosines."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.by_hand import written_vectors

from dpo_neurons.directions.nearest_value_vectors import find_nearest_value_vectors
from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import ARCHITECTURES, Layers

RANDOM = np.random.default_rng(3).normal(size=(3, 16))
DIRECTIONS = RANDOM / np.linalg.norm(RANDOM, axis=1, keepdims=True)


def all_values(model):
    """Layer, neuron and written vector of every neuron of a loaded model."""
    layers = Layers.of(model)
    for layer in range(len(layers.blocks)):
        for neuron, vector in enumerate(written_vectors(model, layer).numpy()):
            yield layer, neuron, vector


def by_sorting(model, direction, count):
    actual = [
        (vector @ direction / np.sqrt((vector**2).sum()), layer, neuron, vector)
        for layer, neuron, vector in all_values(model)
    ]
    return sorted(actual, key=lambda row: -row[0])[:count]


@pytest.mark.parametrize("count", [1, 7, 60, 1000])
def test_they_are_those_with_the_largest_cosines(checkpoints, architecture, model, tmp_path, count):
    actual = find_nearest_value_vectors(
        checkpoints[architecture, "pre"], DIRECTIONS, count, tmp_path / "d"
    )
    assert len(actual) == 3
    for direction, of_one in zip(DIRECTIONS, actual, strict=True):
        expected = by_sorting(model, direction, count)
        assert len(expected) == min(count, sum(1 for _ in all_values(model)))
        assert of_one.layers.tolist() == [layer for _, layer, _, _ in expected]
        assert of_one.neurons.tolist() == [neuron for _, _, neuron, _ in expected]
        np.testing.assert_allclose(of_one.cosines, [cosine for cosine, *_ in expected], rtol=1e-10)
        np.testing.assert_array_equal(of_one.vectors, [vector for *_, vector in expected])


def changed(checkpoints, architecture, path, change):
    """A copy of a checkpoint whose value vectors of layer 1, (d_mlp, d_model), are changed."""
    source = checkpoints[architecture, "pre"]
    tensors = load_file(source / "model.safetensors")
    name = f"{ARCHITECTURES[architecture].down_projection_of(1)}.weight"
    rows = ARCHITECTURES[architecture].neurons_in_rows
    values = tensors[name] if rows else tensors[name].T
    change(values)
    tensors[name] = (values if rows else values.T).contiguous()
    path.mkdir()
    (path / "config.json").write_text((source / "config.json").read_text())
    save_file(tensors, path / "model.safetensors")
    return path


def test_a_neuron_that_writes_nothing_is_close_to_nothing(
    checkpoints, architecture, model, tmp_path
):
    def silence(values):
        values[5] = 0

    path = changed(checkpoints, architecture, tmp_path / "m", silence)
    (actual,) = find_nearest_value_vectors(path, DIRECTIONS[:1], 1000, tmp_path / "d")
    names = set(zip(actual.layers.tolist(), actual.neurons.tolist(), strict=True))
    assert names == {(layer, neuron) for layer, neuron, _ in all_values(model)} - {(1, 5)}
    assert np.isfinite(actual.cosines).all()


def test_of_equally_close_neurons_the_first_count(checkpoints, tmp_path):
    def align(values):
        values[:] = torch.tensor(DIRECTIONS[0]) * torch.arange(1, len(values) + 1)[:, None]

    path = changed(checkpoints, "gpt2", tmp_path / "m", align)
    (actual,) = find_nearest_value_vectors(path, DIRECTIONS[:1], 3, tmp_path / "d")
    np.testing.assert_allclose(actual.cosines, 1, atol=1e-7)
    assert actual.layers.tolist() == [1, 1, 1]


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_value_vectors_that_are_not_finite_are_named(checkpoints, architecture, tmp_path, number):
    def spoil(values):
        values[7, 3] = number

    path = changed(checkpoints, architecture, tmp_path / "m", spoil)
    with pytest.raises(InputError, match=rf"{path}: the value vector of layer 1, neuron 7"):
        find_nearest_value_vectors(path, DIRECTIONS, 5, tmp_path / "d")


def test_a_direction_of_another_width_is_refused(checkpoints, tmp_path):
    with pytest.raises(InputError, match=r"d\.safetensors: the direction is 8 wide.*16 wide"):
        find_nearest_value_vectors(
            checkpoints["gpt2", "pre"], np.eye(8), 5, tmp_path / "d.safetensors"
        )
