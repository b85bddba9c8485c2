"""The unembedding read from files, compared with the loaded model's head."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.tiny_models import WORDS, randomise, small_config
from transformers import AutoModelForCausalLM

from dpo_neurons.errors import InputError
from dpo_neurons.models import unembedding as module
from dpo_neurons.models.loading import load_model
from dpo_neurons.models.unembedding import Unembedding

VECTORS = np.random.default_rng(5).normal(size=(4, 16))
CAN_TIE = [
    "gpt2", "llama", "mistral", "gemma", "gemma2", "gemma3_text", "qwen2", "qwen3", "olmo2",
    "phi3", "opt",
]  # fmt: skip


def small_model(architecture, **settings):
    config = small_config(architecture)
    for key, value in settings.items():
        setattr(config, key, value)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    randomise(model, 0.3)
    return model


def all_products(unembedding):
    """Products of VECTORS with every token's vector."""
    return np.concatenate(list(unembedding.iterate_products(VECTORS, "none")), axis=1)


def assert_that_of(checkpoint, model):
    head = model.get_output_embeddings().weight.detach().double().numpy()
    unembedding = Unembedding(checkpoint)
    assert (unembedding.vocabulary, unembedding.d_model) == head.shape == (len(WORDS), 16)
    np.testing.assert_array_equal(unembedding.rows([3, 0, 39, 3]), head[[3, 0, 39, 3]])
    np.testing.assert_allclose(all_products(unembedding), VECTORS @ head.T, atol=1e-5)


def test_it_is_the_models_head(checkpoints, architecture, model):
    assert_that_of(checkpoints[architecture, "pre"], model)


@pytest.mark.parametrize("architecture", CAN_TIE)
def test_where_the_two_are_tied_it_is_the_embedding(architecture, tmp_path):
    model = small_model(architecture, tie_word_embeddings=True)
    model.save_pretrained(tmp_path)
    assert not any("lm_head" in name for name in load_file(tmp_path / "model.safetensors"))
    assert_that_of(tmp_path, load_model(tmp_path, "float32", "cpu"))


@pytest.mark.parametrize("architecture", CAN_TIE)
def test_it_is_found_in_a_tied_checkpoint_of_the_bare_model(architecture, tmp_path):
    model = small_model(architecture, tie_word_embeddings=True)
    model.base_model.save_pretrained(tmp_path)
    assert_that_of(tmp_path, model)


def test_where_both_are_stored_it_is_the_head_as_in_the_model(tmp_path):
    small_model("llama", tie_word_embeddings=False).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    assert_that_of(tmp_path, load_model(tmp_path, "float32", "cpu"))


@pytest.mark.parametrize("block_rows", [1, 7, 39, 40, 41])
def test_it_may_be_read_in_blocks_of_any_size(checkpoints, loaded, monkeypatch, block_rows):
    monkeypatch.setattr(module, "BLOCK_ROWS", block_rows)
    assert_that_of(checkpoints["llama", "pre"], loaded("llama"))


def test_it_is_found_in_sharded_checkpoints(model, tmp_path):
    model.save_pretrained(tmp_path, max_shard_size="6KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    assert_that_of(tmp_path, model)


def changed(source, path, change):
    """A copy of a checkpoint with its tensors changed."""
    path.mkdir()
    (path / "config.json").write_text((source / "config.json").read_text())
    save_file(change(load_file(source / "model.safetensors")), path / "model.safetensors")
    return path


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_other_precisions_are_read_exactly(checkpoints, loaded, tmp_path, dtype):
    def cast(tensors):
        return {name: tensor.to(dtype) for name, tensor in tensors.items()}

    path = changed(checkpoints["llama", "pre"], tmp_path / "m", cast)
    head = loaded("llama").get_output_embeddings().weight.to(dtype).float().numpy()
    found = Unembedding(path).rows(list(range(40)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, head)


def test_codes_of_a_quantised_model_are_refused(checkpoints, tmp_path):
    def quantise(tensors):
        return {name: tensor.to(torch.int8) for name, tensor in tensors.items()}

    path = changed(checkpoints["llama", "pre"], tmp_path / "m", quantise)
    with pytest.raises(InputError, match=r"lm_head\.weight holds torch\.int8 codes"):
        all_products(Unembedding(path))


def test_numbers_that_are_not_finite_are_refused(checkpoints, tmp_path):
    def spoil(tensors):
        tensors["lm_head.weight"][5, 3] = torch.nan
        return tensors

    path = changed(checkpoints["llama", "pre"], tmp_path / "m", spoil)
    with pytest.raises(InputError, match=r"m: lm_head\.weight holds NaN"):
        all_products(Unembedding(path))


def test_the_body_of_an_untied_model_has_no_unembedding(loaded, tmp_path):
    loaded("llama").base_model.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"no unembedding in it, lm_head\.weight; save the whole"):
        Unembedding(tmp_path)


def test_a_checkpoint_without_its_mlps_is_refused(checkpoints, tmp_path):
    def cut(tensors):
        return {name: tensor for name, tensor in tensors.items() if "mlp" not in name}

    path = changed(checkpoints["llama", "pre"], tmp_path / "m", cut)
    with pytest.raises(InputError, match=r"no down projection model\.layers\.0\.mlp\.down_proj"):
        Unembedding(path)


def test_token_vectors_beside_the_residual_stream_are_refused(tmp_path):
    config = small_config("opt")
    config.word_embed_proj_dim = 8
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"8 wide, but its residual stream is 16 wide"):
        Unembedding(tmp_path)


@pytest.mark.parametrize("rows", [7, 100], ids=["in blocks", "at once"])
def test_the_largest_products_are_those_of_the_whole_vocabulary(
    checkpoints, loaded, monkeypatch, rows
):
    monkeypatch.setattr(module, "BLOCK_ROWS", rows)
    ids = [3, 8, 9, 21, 22, 38, 400]
    found = Unembedding(checkpoints["gpt2", "pre"]).find_largest_products(VECTORS, ids, 3, "none")
    head = loaded("gpt2").get_output_embeddings().weight.detach().double().numpy()
    for sign, (largest, products) in found.items():
        signed = sign * VECTORS @ head[ids[:-1]].T
        order = np.argsort(-signed, axis=1)[:, :3]
        np.testing.assert_array_equal(largest, np.array(ids)[order])
        wanted = np.take_along_axis(signed, order, axis=1)
        np.testing.assert_allclose(products, wanted, atol=1e-5)
