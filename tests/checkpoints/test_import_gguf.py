"""GGUF files: the weights and tokenizer that were written into them come out, or a sentence."""

import json
import sys

import gguf
import import_gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Format
from support.by_hand import forward
from support.gguf_writing import TOKENS, small_llama, write_gguf
from transformers import AutoTokenizer

from dpo_neurons.errors import InputError
from dpo_neurons.files.provenance import sha256_of
from dpo_neurons.models.loading import load_model


@pytest.fixture(scope="module")
def llama():
    return small_llama()


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Convert a file; returns the checkpoint's folder and the facts of its source file."""

    def convert(path):
        output, source = tmp_path / "pre", tmp_path / "pre.source.json"
        words = ["import_gguf", "--path", path, "--threads", 1, "--output", output]
        words += ["--source-output", source]
        monkeypatch.setattr(sys, "argv", list(map(str, words)))
        monkeypatch.setattr(import_gguf, "obey_threads", lambda threads: None)
        import_gguf.main()
        return output, json.loads(source.read_text())

    return convert


@pytest.mark.parametrize("number_format", [Format.F32, Format.Q8_0, Format.Q4_1])
def test_the_checkpoint_is_the_model_that_was_written(llama, tmp_path, program, number_format):
    path = tmp_path / "model.gguf"
    written = write_gguf(path, llama, number_format)
    output, facts = program(path)
    model = load_model(output, "float32", "cpu")
    by_name = dict(model.named_parameters())
    assert set(by_name) == set(written)
    for name, stored in written.items():
        n_heads = {"q_proj": 4, "k_proj": 2}.get(name.split(".")[-2])
        expected = np.asarray(stored)
        if n_heads:  # back in Hugging Face's order
            half = expected.shape[0] // n_heads // 2
            expected = expected.reshape(n_heads, half, 2, -1).swapaxes(1, 2)
        expected = expected.reshape(by_name[name].shape)
        assert np.array_equal(by_name[name].numpy(), expected), name
    if number_format == Format.F32:
        ids = [[5, 9, 30, 7]]
        assert torch.equal(forward(model, ids)["logits"], forward(llama, ids)["logits"])
    assert facts["kind"] == "gguf"
    assert facts["given"] == {"model.gguf": sha256_of(path)}
    formats = sorted({"F32", number_format.name})
    assert facts["dequantised_from"] == ", ".join(formats)
    assert "quantization_config" not in json.loads((output / "config.json").read_text())


def test_the_tokenizer_is_the_one_in_the_file(llama, tmp_path, program):
    write_gguf(tmp_path / "model.gguf", llama)
    output, _ = program(tmp_path / "model.gguf")
    tokenizer = AutoTokenizer.from_pretrained(output)
    ids = tokenizer("abab aba")["input_ids"]
    assert [TOKENS[i] for i in ids] == ["abab", "Ġ", "ab", "a"]
    assert tokenizer.decode(ids) == "abab aba"
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<s>", "</s>")


def refused(program, path):
    with pytest.raises(InputError) as caught:
        program(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    assert not (path.parent / "pre").exists()
    return sentence


def test_what_is_no_gguf_or_damaged_is_told(llama, tmp_path, program):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"PK\3\4 a zip")
    assert "no GGUF file, whose first bytes are GGUF; give one" in refused(program, path)
    write_gguf(path, llama)
    whole = path.read_bytes()
    for kept in (4, 200, len(whole) // 2, len(whole) - 40):
        path.write_bytes(whole[:kept])
        assert "damaged or cut short; fetch it again" in refused(program, path)


@pytest.mark.parametrize("number", ["embedding_length", "attention.head_count"])
def test_numbers_that_do_not_fit_the_weights_are_told(llama, tmp_path, program, number):
    path = tmp_path / "model.gguf"
    write_gguf(path, llama)
    key = f"llama.{number}".encode()
    content = bytearray(path.read_bytes())
    content[content.index(key) + len(key) + 4] = 7  # after the number's type, 4 bytes
    path.write_bytes(content)
    assert "transformers cannot read this model from GGUF" in refused(program, path)


def test_a_file_without_a_weight_or_a_tokenizer_is_told(llama, tmp_path, program):
    path = tmp_path / "model.gguf"
    write_gguf(path, llama, without=("blk.1.ffn_down",))
    assert "lacks the weights 'model.layers.1.mlp.down_proj.weight'" in refused(program, path)
    write_gguf(path, llama, without=("tokenizer",))
    assert "tokenizer" in refused(program, path)


def test_a_family_that_transformers_does_not_read_is_told(tmp_path, program):
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "whale")
    writer.add_tensor("token_embd.weight", np.zeros((4, 32), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert "transformers cannot read this model from GGUF" in refused(program, path)
