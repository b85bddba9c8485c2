"""Tensors that are not those of the architecture are named before anything is allocated."""

import json
import resource
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.by_hand import written_vectors
from support.tiny_models import randomise, small_config
from transformers import AutoModelForCausalLM

from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import Layers
from dpo_neurons.models.expected_weights import check_stored_weights
from dpo_neurons.models.loading import load_model
from dpo_neurons.models.unembedding import Unembedding
from dpo_neurons.models.value_vectors import iterate_written_vectors

DOWN = "model.layers.1.mlp.down_proj.weight"


@pytest.fixture
def llama(checkpoints, tmp_path):
    return shutil.copytree(checkpoints["llama", "pre"], tmp_path / "llama")


def change_weights(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def change_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


WEIGHTS = {
    "missing": (lambda w: w.pop(DOWN), [DOWN, "missing"]),
    "left over": (lambda w: w.update({"v_head.weight": torch.ones(3)}), ["v_head.weight", "no pa"]),
    "a layer more": (
        lambda w: w.update({"model.layers.3.mlp.down_proj.weight": torch.ones(16, 24)}),
        ["4 layers", "by config.json 3"],
    ),
    "empty": (lambda w: w.update({DOWN: torch.ones(0)}), [DOWN, "is empty"]),
    "flat": (lambda w: w.update({DOWN: w[DOWN].flatten()}), [DOWN, "(384,)", "(16, 24)"]),
    "transposed": (lambda w: w.update({DOWN: w[DOWN].T.contiguous()}), [DOWN, "(24, 16)"]),
    "codes": (lambda w: w.update({DOWN: w[DOWN].to(torch.int8)}), [DOWN, "I8 codes"]),
    "wrapped": (
        lambda w: [w.update({f"module.{name}": w.pop(name)}) for name in list(w)],
        ["no model.layers.0 and hold 'module.", "without a wrapper such as DataParallel's"],
    ),
    "twice": (
        lambda w: w.update({DOWN.removeprefix("model."): w[DOWN] + 1}),
        ["layers.1.mlp.down_proj.weight"],
    ),
}  # fmt: skip
CONFIG = {
    "wider": ({"intermediate_size": 20}, ["has the shape"]),
    "other vocabulary": ({"vocab_size": 39}, ["has the shape", "(40, 16)", "(39, 16)"]),
    "fewer layers": ({"num_hidden_layers": 2}, ["3 layers", "by config.json 2"]),
    "a million layers": ({"num_hidden_layers": 10**6}, ["3 layers", "by config.json 1000000"]),
    "another type": ({"model_type": "gpt2"}, ["model_type 'gpt2'", "does not fit the weights"]),
    "a like type": ({"model_type": "qwen3"}, ["k_norm", "missing"]),
    "of another build": ({"model_type": "olmo2"}, ["missing", "left over"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_that_are_not_the_models_are_named(llama, kind):
    change, words = WEIGHTS[kind]
    change_weights(llama, change)
    assert_refused(llama, words)


@pytest.mark.parametrize("kind", ["missing", "left over", "a layer more", "empty", "transposed"])
def test_old_weights_that_are_not_the_models_are_named(llama, kind):
    change, words = WEIGHTS[kind]
    tensors = load_file(llama / "model.safetensors")
    change(tensors)
    torch.save(tensors, llama / "pytorch_model.bin")
    (llama / "model.safetensors").unlink()
    assert_refused(llama, words)


@pytest.mark.parametrize("kind", CONFIG)
def test_a_configuration_that_does_not_fit_the_weights_is_named(llama, kind):
    changes, words = CONFIG[kind]
    change_config(llama, **changes)
    assert_refused(llama, words)


def assert_refused(folder, words):
    for read in (check_stored_weights, lambda path: load_model(path, "float32", "cpu")):
        with pytest.raises(InputError) as caught:
            read(folder)
        for word in (str(folder), *words):
            assert word in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_bare_configuration_builds_no_model_of_defaults(llama):
    """Llama's defaults are those of 7 billion weights."""
    (llama / "config.json").write_text('{"model_type": "llama"}')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"3 layers, and by config\.json 32"):
        load_model(llama, "float32", "cpu")
    (llama / "config.json").write_text('{"model_type": "llama", "num_hidden_layers": 3}')
    with pytest.raises(InputError, match="has the shape"):
        load_model(llama, "float32", "cpu")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # in KiB


def test_constants_of_older_versions_are_no_weights(llama):
    change_weights(
        llama,
        lambda w: w.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2)}),
    )
    load_model(llama, "float32", "cpu")


@pytest.fixture(params=["prefixed", "bare"])
def stored(request, architecture, tmp_path):
    """A model as stored, tied where names lack the prefix, for then the body is all that there is.

    Returns its folder and the model in memory.
    """
    config = small_config(architecture)
    config.tie_word_embeddings = request.param == "bare"
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_config(config)
    randomise(model, 0.3)
    if request.param == "prefixed":
        model.save_pretrained(tmp_path / "m")
    else:
        model.save_pretrained(tmp_path / "m")
        tensors = load_file(tmp_path / "m" / "model.safetensors")
        head = ("lm_head", "embed_out")
        bare = {
            name if name.startswith(head) else name.partition(".")[2]: tensor
            for name, tensor in tensors.items()
        }
        save_file(bare, tmp_path / "m" / "model.safetensors", {"format": "pt"})
    return tmp_path / "m", model


def test_both_readers_see_a_head_under_transformers_own_name(tmp_path):
    model = AutoModelForCausalLM.from_config(small_config("gpt_neox"))
    model.save_pretrained(tmp_path)
    change_weights(tmp_path, lambda w: w.update({"lm_head.weight": w.pop("embed_out.weight") + 1}))
    head = load_model(tmp_path, "float32", "cpu").get_output_embeddings().weight.numpy()
    assert not np.array_equal(head, model.get_output_embeddings().weight.detach().numpy())
    np.testing.assert_array_equal(Unembedding(tmp_path).rows(list(range(40))), head)


@pytest.mark.every_architecture
def test_both_readers_see_the_same_tensors(stored):
    folder, model = stored
    loaded = load_model(folder, "float32", "cpu")
    layers = Layers.of(loaded)
    ours = list(iterate_written_vectors(folder))
    assert len(ours) == len(layers.blocks) == len(Layers.of(model).blocks)
    for layer, (values, bias) in enumerate(ours):
        for other in (loaded, model):
            np.testing.assert_array_equal(values, written_vectors(other, layer).numpy())
        own_bias = layers.down_projections[layer].bias
        assert (bias is None) == (own_bias is None)
        if bias is not None:
            np.testing.assert_array_equal(bias, own_bias.double().numpy())
    unembedding = Unembedding(folder)
    head = loaded.get_output_embeddings().weight
    assert unembedding.vocabulary == len(head)
    np.testing.assert_array_equal(unembedding.rows(list(range(len(head)))), head.numpy())


@pytest.mark.parametrize("stored_twice", ["equal", "different"])
def test_a_head_that_is_stored_although_tied_is_the_same_to_both_readers(tmp_path, stored_twice):
    config = small_config("llama")
    config.tie_word_embeddings = True
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    change_weights(
        tmp_path,
        lambda w: w.update(
            {"lm_head.weight": w["model.embed_tokens.weight"] + (stored_twice == "different")}
        ),
    )
    head = load_model(tmp_path, "float32", "cpu").get_output_embeddings().weight.numpy()
    np.testing.assert_array_equal(Unembedding(tmp_path).rows(list(range(40))), head)
