"""Adapters that are damaged, another model's, code, or not to be merged: refused in words."""

import json
import pickle
import warnings

import pytest
import torch
from peft import PromptTuningConfig
from safetensors.torch import load_file, save_file
from support.trained_adapters import LLAMA, adapter_on_resized, lora, trained_adapter

from dpo_neurons.checkpoints.adapters import check_adapter, merge_adapter
from dpo_neurons.errors import InputError
from dpo_neurons.models.loading import load_trainable_model

pytest_plugins = ["support.tied_checkpoint"]
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def llama(checkpoints, tmp_path):
    """A Llama's checkpoint and an adapter on it."""
    trained_adapter(checkpoints["llama", "pre"], tmp_path / "adapter", lora(LLAMA))
    return checkpoints["llama", "pre"], tmp_path / "adapter"


def test_one_resized_end_of_two_is_refused(llama, tmp_path):
    checkpoint, _ = llama
    adapter_on_resized(checkpoint, tmp_path / "one", lora(["q_proj"]), 42)
    changed_weights(tmp_path / "one", lambda w: w.pop("base_model.model.lm_head.weight"))
    with pytest.raises(InputError, match="one of embedding and unembedding with 42 rows"):
        merge_adapter(load_trainable_model(checkpoint, "float32"), tmp_path / "one")


@pytest.mark.parametrize("end", ["lm_head", "embed_tokens"])
def test_an_adapter_on_one_end_of_a_tied_matrix_is_refused(tied, tmp_path, end):
    trained_adapter(tied, tmp_path / "adapter", lora(["q_proj", end]))
    with pytest.raises(InputError, match="one matrix in this model"):
        merge_adapter(load_trainable_model(tied, "float32"), tmp_path / "adapter")


def test_an_adapter_that_changes_no_weights_is_refused(checkpoints, tmp_path):
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    trained_adapter(checkpoints["llama", "pre"], tmp_path / "adapter", config)
    with pytest.raises(InputError, match="PROMPT_TUNING changes no weights"):
        merge_adapter(
            load_trainable_model(checkpoints["llama", "pre"], "float32"), tmp_path / "adapter"
        )


def changed_weights(adapter, change):
    weights = load_file(adapter / "adapter_model.safetensors")
    change(weights)
    save_file(weights, adapter / "adapter_model.safetensors")


def changed_config(adapter, **changes):
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


NAME = "base_model.model.model.layers.1.mlp.down_proj.lora_B.weight"
DAMAGES = {
    "a tensor lacks": (lambda a: changed_weights(a, lambda w: w.pop(NAME)), "it lacks .*down_proj"),
    "another shape": (
        lambda a: changed_weights(a, lambda w: w.update({NAME: torch.ones(9, 9)})),
        "size mismatch for .*down_proj",
    ),
    "targets without weights": (
        lambda a: changed_config(a, target_modules=[*LLAMA, "k_proj"]), "it lacks .*k_proj"
    ),
    "weights without targets": (
        lambda a: changed_config(a, target_modules=["q_proj"]), "it has besides .*down_proj"
    ),
    "fewer layers": (lambda a: changed_config(a, layers_to_transform=[0]), "it has besides"),
    "no such modules": (lambda a: changed_config(a, target_modules=["dense"]), "not found"),
    "cut": (
        lambda a: (a / "adapter_model.safetensors").write_bytes(
            (a / "adapter_model.safetensors").read_bytes()[:500]
        ),
        "cannot be merged",
    ),
    "config is no JSON": (lambda a: (a / "adapter_config.json").write_text("{"), "cannot be mer"),
    "config is empty": (lambda a: (a / "adapter_config.json").write_text("{}"), "cannot be merg"),
    "codes": (
        lambda a: changed_weights(a, lambda w: w.update({NAME: w[NAME].to(torch.int8)})),
        "down_proj.* holds torch.int8 codes",
    ),
    "targets are no pattern": (lambda a: changed_config(a, target_modules="(("), "cannot be merg"),
    "of another library": (lambda a: changed_config(a, megatron_config={"a": 1}), "cannot be me"),
    "of a newer kind": (lambda a: changed_config(a, peft_type="NEWER"), "cannot be merged"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_adapter_is_refused_and_never_merged_in_part(llama, damage):
    checkpoint, adapter = llama
    change, words = DAMAGES[damage]
    change(adapter)
    with pytest.raises(InputError, match=words) as caught:
        merge_adapter(load_trainable_model(checkpoint, "float32"), adapter)
    assert str(adapter) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_adapter_of_another_architecture_is_refused(llama, checkpoints):
    with pytest.raises(InputError, match="cannot be merged into the first checkpoint"):
        merge_adapter(load_trainable_model(checkpoints["gpt2", "pre"], "float32"), llama[1])


def test_a_key_that_stands_twice_is_named(llama):
    path = llama[1] / "adapter_config.json"
    path.write_text(path.read_text().replace("{", '{"lora_alpha": 800,', 1))
    with pytest.raises(
        InputError, match=r"adapter_config\.json: the key 'lora_alpha' stands twice"
    ):
        check_adapter(llama[1])


@pytest.mark.parametrize("lacking", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_directory_that_is_no_adapter_is_named(llama, lacking):
    check_adapter(llama[1])
    (llama[1] / lacking).unlink()
    with pytest.raises(InputError, match=f"no {lacking}") as caught:
        check_adapter(llama[1])
    assert str(llama[1]) in str(caught.value)


class Code:
    def __reduce__(self):
        return exec, ("import pathlib; pathlib.Path('ran').touch()",)


def test_an_old_adapter_file_is_read_but_never_run(llama, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint, adapter = llama
    weights = load_file(adapter / "adapter_model.safetensors")
    expected = merge_adapter(load_trainable_model(checkpoint, "float32"), adapter).state_dict()
    (adapter / "adapter_model.safetensors").unlink()
    torch.save(weights, adapter / "adapter_model.bin")
    actual = merge_adapter(load_trainable_model(checkpoint, "float32"), adapter).state_dict()
    assert all(torch.equal(actual[name], expected[name]) for name in expected)
    (adapter / "adapter_model.bin").write_bytes(pickle.dumps({"a": Code()}, protocol=2))
    with warnings.catch_warnings(), pytest.raises(InputError, match="may be code"):
        merge_adapter(load_trainable_model(checkpoint, "float32"), adapter)
    assert not (tmp_path / "ran").exists()
