"""Weights read from safetensors without a model: whole, in parts, damaged."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dpo_neurons.errors import InputError
from dpo_neurons.models.weight_reader import StoredWeights

TENSORS = {
    "model.a.weight": torch.arange(12.0).reshape(4, 3) / 7,
    "model.b.weight": torch.arange(6).reshape(2, 3).bfloat16() / 3,
    "codes": torch.ones(2, 2, dtype=torch.int8),
}
INDEX = "model.safetensors.index.json"


@pytest.fixture(params=["whole", "in parts"])
def checkpoint(request, tmp_path):
    if request.param == "whole":
        save_file(TENSORS, tmp_path / "model.safetensors")
        return tmp_path
    places = {name: f"model-{number}.safetensors" for number, name in enumerate(TENSORS)}
    for name, file in places.items():
        save_file({name: TENSORS[name]}, tmp_path / file)
    (tmp_path / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return tmp_path


def test_numbers_are_those_of_the_file(checkpoint):
    weights = StoredWeights(checkpoint)
    for name in ("model.a.weight", "model.b.weight"):
        stored = weights.read(name)
        assert stored.dtype == np.float64
        assert np.array_equal(stored, TENSORS[name].double().numpy())
        assert weights.shape(name) == tuple(TENSORS[name].shape)
    rows = weights.read_rows("model.a.weight", 1, 3)
    assert rows.dtype == np.float32
    assert np.array_equal(rows, TENSORS["model.a.weight"][1:3].numpy())


def test_a_name_may_lack_the_causal_models_prefix(checkpoint):
    weights = StoredWeights(checkpoint)
    assert weights.stored_name("model.a.weight") == "model.a.weight"
    assert weights.stored_name("transformer.model.a.weight") == "model.a.weight"
    assert weights.stored_name("model.c.weight") is None


def test_codes_are_refused(checkpoint):
    weights = StoredWeights(checkpoint)
    with pytest.raises(InputError, match=r"codes holds torch\.int8 codes"):
        weights.read("codes")
    with pytest.raises(InputError, match=r"codes holds torch\.int8 codes"):
        weights.read_rows("codes", 0, 1)


def test_a_part_that_lacks_what_the_index_names_is_told(tmp_path):
    save_file({"b": torch.ones(2)}, tmp_path / "part.safetensors")
    (tmp_path / INDEX).write_text(
        json.dumps({"metadata": {}, "weight_map": {"a": "part.safetensors"}})
    )
    weights = StoredWeights(tmp_path)
    for read in (weights.read, weights.shape, lambda name: weights.read_rows(name, 0, 1)):
        with pytest.raises(InputError, match=f"part.safetensors: lacks a, which {INDEX}"):
            read("a")


def test_a_part_that_is_not_there_is_told(tmp_path):
    (tmp_path / INDEX).write_text(
        json.dumps({"metadata": {}, "weight_map": {"a": "part.safetensors"}})
    )
    with pytest.raises(InputError, match=r"part\.safetensors: cannot be read"):
        StoredWeights(tmp_path).read("a")


@pytest.mark.parametrize(
    "index",
    ["{", "{}", "[]", '{"weight_map": []}', '{"metadata": {}, "weight_map": {"a": 1}}', "\x00"],
)
def test_a_damaged_index_is_told(tmp_path, index):
    (tmp_path / INDEX).write_text(index)
    with pytest.raises(
        InputError, match=r"model\.safetensors\.index\.json: .*fetch the checkpoint"
    ):
        StoredWeights(tmp_path)


@pytest.mark.parametrize("length", [0, 7, 40, 150])
def test_a_damaged_file_is_told(tmp_path, length):
    save_file(TENSORS, tmp_path / "model.safetensors")
    content = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(content[:length])
    with pytest.raises(InputError, match=r"model\.safetensors: cannot be read"):
        StoredWeights(tmp_path)


def test_a_checkpoint_without_safetensors_is_told(tmp_path):
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(InputError, match=r"no model\.safetensors in it"):
        StoredWeights(tmp_path)
