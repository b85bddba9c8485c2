"""What neurons write, read from files, against the weights and norms of the loaded model."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.by_hand import mlp_of, stack, written_vectors

from dpo_neurons.errors import InputError
from dpo_neurons.models.loading import load_model
from dpo_neurons.models.value_vectors import iterate_written_vectors, project_written_vectors


def expected(model):
    """Written vectors, (d_mlp, d_model), and biases of each layer, from the loaded model."""
    for layer in range(model.config.num_hidden_layers):
        bias = mlp_of(model, layer).value_bias
        yield written_vectors(model, layer).numpy(), None if bias is None else bias.numpy()


def assert_those_of(model, checkpoint):
    found, wanted = list(iterate_written_vectors(checkpoint)), list(expected(model))
    assert len(found) == len(wanted) == model.config.num_hidden_layers
    for (values, bias), (its_values, its_bias) in zip(found, wanted, strict=True):
        assert values.dtype == np.float64
        np.testing.assert_array_equal(values, its_values)
        assert (bias is None) == (its_bias is None)
        if bias is not None:
            np.testing.assert_array_equal(bias, its_bias)


def copy_with(checkpoint, path, change):
    """A copy of a checkpoint with its tensors changed."""
    path.mkdir()
    (path / "config.json").write_text((checkpoint / "config.json").read_text())
    save_file(change(load_file(checkpoint / "model.safetensors")), path / "model.safetensors")
    return path


def test_they_are_the_models_weights(checkpoints, model, architecture):
    assert_those_of(model, checkpoints[architecture, "pre"])


@pytest.mark.parametrize("architecture", ["gemma2", "gemma3_text", "olmo2"])
def test_a_norm_after_the_mlp_turns_them_as_the_model_does(loaded, checkpoints, architecture):
    model = loaded(architecture)
    for layer, (written, _) in enumerate(iterate_written_vectors(checkpoints[architecture, "pre"])):
        values = mlp_of(model, layer).values
        with torch.no_grad():
            normed = stack(model)[layer].post_feedforward_layernorm(values).double().numpy()
        signs = np.sign(written) == np.sign(normed)
        cosines = (written * normed).sum(1) / np.linalg.norm(written, axis=1)
        assert signs.all()
        np.testing.assert_allclose(cosines, np.linalg.norm(normed, axis=1), rtol=1e-6)


def test_they_are_found_in_sharded_checkpoints(model, tmp_path):
    model.save_pretrained(tmp_path, max_shard_size="6KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    assert_those_of(model, tmp_path)


def test_they_are_found_in_checkpoints_of_the_bare_model(model, tmp_path):
    model.base_model.save_pretrained(tmp_path)
    names = load_file(tmp_path / "model.safetensors")
    assert not any(name.startswith(("transformer.", "model.")) for name in names)
    assert_those_of(model, tmp_path)


def test_half_precision_weights_are_read_exactly(checkpoints, architecture, tmp_path):
    halved = copy_with(
        checkpoints[architecture, "pre"],
        tmp_path / "half",
        lambda tensors: {name: tensor.bfloat16() for name, tensor in tensors.items()},
    )
    # Weights that bfloat16 rounded, in float32 again.
    assert_those_of(load_model(halved, "float32", "cpu"), halved)


def test_projections_are_dot_products_with_the_direction(checkpoints, architecture, model):
    direction = np.linspace(-1, 1, 16) / np.linalg.norm(np.linspace(-1, 1, 16))
    along, norms, biases = project_written_vectors(
        checkpoints[architecture, "pre"], direction, Path("d")
    )
    for layer, (values, bias) in enumerate(expected(model)):
        np.testing.assert_allclose(along[layer], values.astype(float) @ direction)
        np.testing.assert_allclose(norms[layer], np.sqrt((values.astype(float) ** 2).sum(axis=1)))
        assert biases[layer] == pytest.approx(0 if bias is None else bias @ direction, abs=1e-6)


def test_several_directions_are_projected_on_as_each_alone(checkpoints, architecture):
    directions = np.random.default_rng(3).normal(size=(3, 16))
    along, norms, biases = project_written_vectors(
        checkpoints[architecture, "pre"], directions, Path("d")
    )
    for row, direction in enumerate(directions):
        alone = project_written_vectors(checkpoints[architecture, "pre"], direction, Path("d"))
        np.testing.assert_array_equal(along[row], alone[0])
        np.testing.assert_array_equal(norms, alone[1])
        np.testing.assert_array_equal(biases[row], alone[2])


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.float8_e4m3fn], ids=str)
def test_codes_of_a_quantised_model_are_refused(checkpoints, tmp_path, dtype):
    def quantise(tensors):
        return {
            name: (tensor * 10).to(dtype) if "down_proj" in name else tensor
            for name, tensor in tensors.items()
        }

    quantised = copy_with(checkpoints["llama", "pre"], tmp_path / "q", quantise)
    with pytest.raises(InputError, match="codes of a quantised model") as caught:
        list(iterate_written_vectors(quantised))
    assert "model.safetensors" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 5, 100, 5000])
def test_a_truncated_file_is_named(checkpoints, tmp_path, keep):
    path = copy_with(checkpoints["llama", "pre"], tmp_path / "cut", dict) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="damaged or missing") as caught:
        list(iterate_written_vectors(path.parent))
    assert str(path) in str(caught.value)


def test_a_missing_shard_is_named(model, tmp_path):
    model.save_pretrained(tmp_path, max_shard_size="6KB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    down = ("mlp.c_proj", "down_proj", "fc2", "dense_4h_to_h")
    shard = next(
        file for name, file in index.items() if name.endswith(tuple(f"{d}.weight" for d in down))
    )
    (tmp_path / shard).unlink()
    with pytest.raises(InputError, match="damaged or missing") as caught:
        list(iterate_written_vectors(tmp_path))
    assert str(tmp_path / shard) in str(caught.value)


@pytest.mark.parametrize("text", ["{", '{"metadata": {}}'])
def test_a_damaged_index_is_named(gpt2, tmp_path, text):
    gpt2.save_pretrained(tmp_path, max_shard_size="6KB")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(text)
    with pytest.raises(InputError) as caught:
        list(iterate_written_vectors(tmp_path))
    assert str(index) in str(caught.value)


def test_a_checkpoint_without_weights_is_named(checkpoints, tmp_path):
    config = (checkpoints["gpt2", "pre"] / "config.json").read_text()
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(InputError, match=r"no model\.safetensors"):
        list(iterate_written_vectors(tmp_path))


def test_weights_of_another_architecture_are_no_value_vectors(checkpoints, tmp_path):
    other = copy_with(checkpoints["llama", "pre"], tmp_path / "other", dict)
    config = (checkpoints["gpt2", "pre"] / "config.json").read_text()
    (other / "config.json").write_text(config)
    with pytest.raises(InputError, match=r"transformer\.h\.0\.mlp\.c_proj\.weight"):
        list(iterate_written_vectors(other))
