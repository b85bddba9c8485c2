"""Merging PEFT adapters: W + scale · B A, computed by hand, and tokens trained or added."""

import copy
import json
import shutil
import sys

import merge_adapter as program_of_adapters
import numpy as np
import pytest
import torch
from peft import IA3Config, TrainableTokensConfig
from safetensors.torch import load_file
from support.trained_adapters import LLAMA, adapter_on_resized, lora, trained_adapter

from dpo_neurons.checkpoints.adapters import merge_adapter
from dpo_neurons.errors import InputError
from dpo_neurons.files.provenance import sha256_of
from dpo_neurons.models.loading import load_trainable_model
from dpo_neurons.models.unembedding import Unembedding

pytest_plugins = ["support.tied_checkpoint"]
pytestmark = pytest.mark.filterwarnings("ignore")

GPT2 = ["c_fc", "c_proj", "c_attn"]
IDS = torch.tensor([[3, 9, 14, 5]])


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Run the program; returns the output's directory and the source file's facts."""

    def run(checkpoint, adapter, dtype):
        output, source = tmp_path / "post", tmp_path / "post.source.json"
        words = ["merge_adapter", "--checkpoint", checkpoint, "--adapter", adapter]
        words += ["--dtype", dtype, "--threads", 1, "--output", output, "--source-output", source]
        monkeypatch.setattr(sys, "argv", [str(word) for word in words])
        monkeypatch.setattr(program_of_adapters, "obey_threads", lambda threads: None)
        program_of_adapters.main()
        return output, json.loads(source.read_text())

    return run


def by_hand(checkpoint, adapter, scale, transposed):
    """The merged weights in float64, by name."""
    weights = {
        name: tensor.double()
        for name, tensor in load_file(checkpoint / "model.safetensors").items()
    }
    stored = load_file(adapter / "adapter_model.safetensors")
    changed = 0
    for name, a in stored.items():
        if ".lora_A." in name:
            b = stored[name.replace(".lora_A.", ".lora_B.")]
            change = scale * (b.double() @ a.double())
            path = name.removeprefix("base_model.model.").replace(".lora_A", "")
            weights[path] += change.T if transposed else change
            changed += 1
    return weights, changed


@pytest.mark.parametrize("stabilised", [False, True])
@pytest.mark.parametrize(
    ("architecture", "targets", "n"), [("gpt2", GPT2, 8), ("llama", LLAMA, 15)]
)
def test_merged_weights_are_the_sum_computed_by_hand(
    checkpoints, tmp_path, program, architecture, targets, n, stabilised
):
    checkpoint, adapter = checkpoints[architecture, "pre"], tmp_path / "adapter"
    config = lora(targets, use_rslora=stabilised, fan_in_fan_out=architecture == "gpt2")
    adapted = trained_adapter(checkpoint, adapter, config)
    output, facts = program(checkpoint, adapter, "float32")

    scale = 7 / 3**0.5 if stabilised else 7 / 3
    expected, changed = by_hand(checkpoint, adapter, scale, architecture == "gpt2")
    assert changed == n
    actual = load_file(output / "model.safetensors")
    assert actual.keys() == expected.keys()
    for name, tensor in actual.items():
        torch.testing.assert_close(tensor.double(), expected[name], rtol=0, atol=1e-6)
    with torch.no_grad():
        logits = load_trainable_model(output, "float32").eval()(IDS).logits
        torch.testing.assert_close(logits, adapted(IDS).logits, rtol=0, atol=1e-4)
    assert facts["kind"] == "adapter"
    assert facts["path"] == str(adapter)
    assert facts["given"] == {file.name: sha256_of(file) for file in adapter.iterdir()}
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        assert (output / name).read_bytes() == (checkpoint / name).read_bytes()


def test_the_sum_is_rounded_once(checkpoints, tmp_path, program):
    half = load_trainable_model(checkpoints["llama", "pre"], "bfloat16")
    shutil.copytree(checkpoints["llama", "pre"], tmp_path / "half")
    half.save_pretrained(tmp_path / "half")
    adapter = tmp_path / "adapter"
    trained_adapter(tmp_path / "half", adapter, lora(LLAMA))
    output, _ = program(tmp_path / "half", adapter, "bfloat16")
    expected, _ = by_hand(tmp_path / "half", adapter, 7 / 3, False)
    actual = load_file(output / "model.safetensors")
    differing = 0
    for name, tensor in actual.items():
        assert tensor.dtype == torch.bfloat16
        # Float32 sums may fall on the other side of a tie, so one step apart at the very most.
        differing += int((tensor != expected[name].bfloat16()).sum())
        torch.testing.assert_close(tensor.double(), expected[name], rtol=2**-8, atol=0)
    assert differing <= 2


def test_modules_saved_whole_are_taken_over(checkpoints, tmp_path, program):
    config = lora(LLAMA, modules_to_save=["lm_head"])
    adapted = trained_adapter(checkpoints["llama", "pre"], tmp_path / "adapter", config)
    output, _ = program(checkpoints["llama", "pre"], tmp_path / "adapter", "float32")
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    head = load_file(output / "model.safetensors")["lm_head.weight"]
    assert torch.equal(head, saved["base_model.model.lm_head.weight"])
    with torch.no_grad():
        logits = load_trainable_model(output, "float32").eval()(IDS).logits
        torch.testing.assert_close(logits, adapted(IDS).logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize("saved", [["lm_head"], ["embed_tokens"]])
def test_a_tied_matrix_that_was_saved_whole_comes_apart(tied, tmp_path, program, saved):
    adapted = trained_adapter(tied, tmp_path / "adapter", lora(LLAMA, modules_to_save=saved))
    output, _ = program(tied, tmp_path / "adapter", "float32")
    with torch.no_grad():
        logits = load_trainable_model(output, "float32").eval()(IDS).logits
        torch.testing.assert_close(logits, adapted(IDS).logits, rtol=0, atol=1e-4)


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def base(request, tied, checkpoints):
    """A Llama with its embedding as unembedding, and one with both."""
    return tied if request.param else checkpoints["llama", "pre"]


TOKENS = {
    "none": lora(["q_proj"]),
    "list": lora(["q_proj"], trainable_token_indices=[3, 9]),
    "by name": lora(["q_proj"], trainable_token_indices={"embed_tokens": [3, 9]}),
    "alone": TrainableTokensConfig(task_type="CAUSAL_LM", token_indices=[3, 9]),
    "whole": lora(["q_proj"], modules_to_save=["embed_tokens", "lm_head"]),
}
REFUSED = {("untied", "alone")}
"""On a resized vocabulary, peft saves no unembedding with these, so its new rows are lost."""


@pytest.mark.parametrize("rows", [40, 42, 39])
@pytest.mark.parametrize("kind", TOKENS)
def test_trained_tokens_and_resized_vocabularies_are_merged(
    base, tmp_path, program, kind, rows, request
):
    ends = "tied" if "[tied-" in request.node.nodeid else "untied"
    config = copy.deepcopy(TOKENS[kind])
    if rows != 40 and (ends, kind) in REFUSED:
        adapter_on_resized(base, tmp_path / "adapter", config, rows)
        with pytest.raises(InputError, match="cannot be merged into the first checkpoint"):
            program(base, tmp_path / "adapter", "float32")
        return
    if rows == 40:
        adapted = trained_adapter(base, tmp_path / "adapter", config)
    else:
        adapted = adapter_on_resized(base, tmp_path / "adapter", config, rows)
    output, _ = program(base, tmp_path / "adapter", "float32")
    merged = load_trainable_model(output, "float32").eval()
    with torch.no_grad():
        expected = adapted(IDS).logits
        assert expected.shape[-1] == rows
        torch.testing.assert_close(merged(IDS).logits, expected, rtol=0, atol=1e-4)
        before = load_trainable_model(base, "float32").eval()(IDS).logits[..., :39]
    assert (expected[..., :39] - before).abs().max() > 0.01
    head = merged.get_output_embeddings().weight.detach().numpy()
    np.testing.assert_array_equal(Unembedding(output).rows(list(range(rows))), head)


def test_other_kinds_that_scale_weights_are_merged(checkpoints, tmp_path):
    config = IA3Config(
        task_type="CAUSAL_LM",
        target_modules=["k_proj", "down_proj"],
        feedforward_modules=["down_proj"],
    )
    checkpoint = checkpoints["llama", "pre"]
    adapted = trained_adapter(checkpoint, tmp_path / "adapter", config)
    model = merge_adapter(load_trainable_model(checkpoint, "float32"), tmp_path / "adapter")
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(IDS).logits, adapted(IDS).logits)
