"""The pair: what two folders' settings and weights say differently, and refusals in a sentence."""

import json
import logging
import sys

import check_pair
import pytest
import torch
from support.changed_checkpoints import change_json, change_tokenizer, template
from transformers import AutoModelForCausalLM

from dpo_neurons.checkpoints.pair import examine_pair, format_pair, read_pair, write_pair
from dpo_neurons.errors import InputError

pytest_plugins = ["support.copied_pair"]


@pytest.mark.every_architecture
def test_two_stages_of_one_model_differ_in_nothing(checkpoints, architecture):
    examined = examine_pair(checkpoints[architecture, "pre"], checkpoints[architecture, "post"])
    assert examined.notes == []
    assert examined.config_differences == {}
    assert examined.end_tokens == [2]
    assert examined.begins_with == []
    assert examined.vocabulary == 40
    assert examined.weights["pre"] == examined.weights["post"]
    assert set(examined.weights["pre"]) == {"F32"}


def test_a_pair_is_read_as_it_was_written(pair, tmp_path):
    pre, post = pair()
    change_json(post / "config.json", rms_norm_eps=1e-4)
    examined = examine_pair(pre, post)
    path = tmp_path / "pair.json"
    write_pair(path, examined)
    assert read_pair(path) == examined
    path.write_text(path.read_text().replace('"vocabulary": 40', '"vocabulary": 41'))
    with pytest.raises(InputError, match=r"pair\.json: not as it was written"):
        read_pair(path)
    for content in ("{", "[]", "{}", '{"odd": 1}'):
        (tmp_path / "pair.json").write_text(content)
        with pytest.raises(InputError, match=r"pair\.json: missing or damaged"):
            read_pair(tmp_path / "pair.json")
    with pytest.raises(InputError, match="missing or damaged"):
        read_pair(tmp_path / "nowhere.json")


def test_no_path_is_in_the_description(pair, tmp_path):
    pre, post = pair()
    change_tokenizer(post, template("<end> $A"))
    assert str(tmp_path) not in format_pair(examine_pair(pre, post))


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("llama", {"rms_norm_eps": 1e-3}),
        ("llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 7.0}}),
        ("mistral", {"sliding_window": 3}),
        ("gpt2", {"layer_norm_epsilon": 1e-2}),
        ("gemma2", {"final_logit_softcapping": 3.0}),
        ("gpt_neox", {"use_parallel_residual": False}),
        ("llama", {"tie_word_embeddings": True}),
    ],
)
def test_settings_that_change_what_is_computed_are_said(pair, architecture, changes):
    pre, post = pair(architecture)
    change_json(post / "config.json", **changes)
    examined = examine_pair(pre, post)
    (key,) = changes
    assert key in examined.config_differences
    assert any(note.startswith(f"{key} of config.json is ") for note in examined.notes)
    assert [note for note in examined.notes if "config.json" in note and key not in note] == []


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("llama", {"hidden_act": "gelu"}),
        ("gpt2", {"activation_function": "relu"}),
        ("gemma2", {"hidden_activation": "silu"}),
        ("llama", {"num_attention_heads": 2, "head_dim": 8}),
    ],
)
def test_other_neurons_are_refused(pair, architecture, changes):
    pre, post = pair(architecture)
    change_json(post / "config.json", **changes)
    with pytest.raises(InputError) as caught:
        examine_pair(pre, post)
    assert str(post) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("other", ["mistral", "qwen2", "gpt2", "gemma2"])
def test_two_architectures_are_refused(checkpoints, other):
    with pytest.raises(InputError, match="so a neuron of one is none of the other"):
        examine_pair(checkpoints["llama", "pre"], checkpoints[other, "post"])


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "bfloat16"}, {"use_cache": False}, {"attention_dropout": 0.5},
        {"transformers_version": "4.0.0"}, {"_name_or_path": "x"}, {"bos_token_id": 1},
        {"initializer_range": 0.3}, {"unsloth_version": "1"},
    ],
)  # fmt: skip
def test_settings_without_a_say_are_no_differences(pair, changes):
    pre, post = pair()
    change_json(post / "config.json", **changes)
    assert examine_pair(pre, post).notes == []


def test_number_formats_that_differ_are_said(pair):
    pre, post = pair()
    AutoModelForCausalLM.from_pretrained(post, dtype=torch.bfloat16).save_pretrained(post)
    assert examine_pair(pre, post).notes == ["the weights of pre are F32, those of post BF16"]


@pytest.mark.parametrize("stage", [0, 1])
def test_either_checkpoint_must_be_whole(pair, stage):
    folders = pair()
    (folders[stage] / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match=r"whole weights .* and an adapter"):
        examine_pair(*folders)
    (folders[stage] / "adapter_config.json").unlink()
    change_json(folders[stage] / "config.json", num_hidden_layers=2)
    with pytest.raises(InputError, match="its weights have 3 layers"):
        examine_pair(*folders)


def test_no_weight_is_read(pair, monkeypatch):
    """Weights of nothing but headers: the files are cut after them, and left sparse."""
    folders = pair()
    for folder in folders:
        file = folder / "model.safetensors"
        size = file.stat().st_size
        header = 8 + int.from_bytes(file.read_bytes()[:8], "little")
        with file.open("r+b") as content:
            content.truncate(header)
            content.truncate(size)
    assert examine_pair(*folders).notes == []


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Run the program on two folders; returns what it wrote."""

    def run(pre, post):
        output = tmp_path / "pair.json"
        words = ["check_pair", "--checkpoint-pre", pre, "--checkpoint-post", post]
        words += ["--threads", 1, "--output", output]
        monkeypatch.setattr(sys, "argv", [str(word) for word in words])
        monkeypatch.setattr(check_pair, "obey_threads", lambda threads: None)
        check_pair.main()
        return json.loads(output.read_text(encoding="utf-8"))

    return run


def test_the_program_says_in_its_log_what_it_writes(pair, program, caplog):
    caplog.set_level(logging.INFO)
    pre, post = pair()
    change_json(post / "config.json", rms_norm_eps=1e-4)
    written = program(pre, post)
    assert written["notes"]
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert said == written["notes"]
    assert written["tokenizer"] == "pre"
