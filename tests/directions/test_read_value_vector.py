"""One neuron's value vector as a direction."""

import sys

import numpy as np
import pytest
import read_value_vector
from safetensors.numpy import load_file

from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.errors import InputError


def read(monkeypatch, checkpoint, layer, neuron, output):
    words = ["--checkpoint", checkpoint, "--layer", layer, "--neuron", neuron, "--output", output]
    monkeypatch.setattr(sys, "argv", ["read_value_vector.py", *map(str, words)])
    read_value_vector.main()


def test_the_direction_is_the_stored_vector_of_length_one(checkpoints, tmp_path, monkeypatch):
    checkpoint, output = checkpoints["llama", "pre"], tmp_path / "d.safetensors"
    read(monkeypatch, checkpoint, 1, 3, output)
    weights = load_file(checkpoint / "model.safetensors")
    vector = weights["model.layers.1.mlp.down_proj.weight"][:, 3]
    np.testing.assert_allclose(
        read_direction(output)[0], vector / np.linalg.norm(vector), atol=1e-6
    )


@pytest.mark.parametrize(("layer", "neuron"), [(99, 0), (0, 99_999)])
def test_a_neuron_that_is_not_there_is_named(checkpoints, tmp_path, monkeypatch, layer, neuron):
    with pytest.raises(InputError, match=f"has no layer {layer}, neuron {neuron}; both count from"):
        read(monkeypatch, checkpoints["gpt2", "pre"], layer, neuron, tmp_path / "d.safetensors")
