"""Linking to checkpoints, and turning old weight files into safetensors."""

import hashlib
import json
import shutil
import sys

import link_checkpoint
import pytest
import torch
from safetensors.torch import load_file
from support.tiny_models import WORDS, randomise, small_config
from transformers import AutoModelForCausalLM

from dpo_neurons.checkpoints.saving import checksums
from dpo_neurons.checkpoints.word_tokenizer import build_tokenizer
from dpo_neurons.errors import InputError
from dpo_neurons.files.provenance import write_source

OLD = ["gpt2", "llama", "gpt_neox", "opt"]


@pytest.fixture
def link(tmp_path, monkeypatch):
    """Run the program on a directory; return the link's target and the source file's facts."""

    def run(path, *options, output=tmp_path / "out" / "pre"):
        source = output.with_name("pre.source.json")
        words = ["link_checkpoint", "--path", str(path), "--output", str(output)]
        monkeypatch.setattr(sys, "argv", [*words, "--source-output", str(source), *options])
        link_checkpoint.main()
        return output, json.loads(source.read_text())

    return run


@pytest.fixture
def copied(checkpoints, tmp_path):
    return shutil.copytree(checkpoints["gpt2", "pre"], tmp_path / "copied ü")


def with_config(checkpoint, **changes):
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | changes))
    return checkpoint


def old_checkpoint(directory, architecture, tied, sharded, dtype=torch.float32):
    """A checkpoint in the format before safetensors, which stores tied weights twice."""
    config = small_config(architecture)
    config.tie_word_embeddings = tied
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    randomise(model, 0.3)
    model.save_pretrained(directory)
    build_tokenizer(WORDS).save_pretrained(directory)
    stored = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    if tied:
        stored["lm_head.weight"] = model.get_output_embeddings().weight.detach()
    if not sharded:
        torch.save(stored, directory / "pytorch_model.bin")
        return model
    places = {}
    for number, names in enumerate((sorted(stored)[:7], sorted(stored)[7:]), start=1):
        file = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({name: stored[name] for name in names}, directory / file)
        places |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (directory / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return model


def test_a_directory_is_linked_to_and_every_file_has_its_checksum(link, copied):
    output, facts = link(copied)
    assert output.is_symlink()
    assert output.readlink() == copied.resolve()
    assert facts["kind"] == "directory"
    assert facts["path"] == str(copied)
    assert facts["files"] == {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in copied.iterdir()
    }
    lines = "\n".join(f"{name} {facts['files'][name]}" for name in sorted(facts["files"]))
    assert facts["revision"] == "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def test_the_revision_changes_with_any_file_but_not_with_the_place(link, copied, tmp_path):
    revision = link(copied)[1]["revision"]
    moved = copied.rename(tmp_path / "moved")
    (moved / ".snakemake_timestamp").touch()
    assert link(moved)[1]["revision"] == revision
    (moved / "tokenizer_config.json").write_bytes(
        (moved / "tokenizer_config.json").read_bytes() + b" "
    )
    assert link(moved)[1]["revision"] != revision


def test_a_link_takes_the_place_of_an_older_one(link, checkpoints):
    link(checkpoints["gpt2", "pre"])
    output, _ = link(checkpoints["llama", "post"])
    assert output.resolve() == checkpoints["llama", "post"].resolve()


def test_the_checkpoint_of_another_model_is_linked_to_so_that_results_can_be_moved(
    link, checkpoints, tmp_path
):
    made = shutil.copytree(checkpoints["gpt2", "post"], tmp_path / "results" / "toy" / "post")
    facts = {"kind": "dpo", "files": checksums(made), "revision": "sha256:0"}
    write_source(tmp_path / "results" / "toy" / "post.source.json", facts)
    output = tmp_path / "results" / "seed-2" / "pre"
    source = ("--source", str(made.with_name("post.source.json")), "--same-as", "toy/post")
    assert link(made, *source, output=output)[1] == facts | {"same_as": "toy/post"}
    (tmp_path / "results").rename(tmp_path / "moved")
    moved = tmp_path / "moved"
    assert (moved / "seed-2" / "pre").resolve() == (moved / "toy" / "post").resolve()


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("architecture", OLD)
def test_old_weights_become_safetensors_bit_for_bit(link, tmp_path, architecture, tied, sharded):
    before = old_checkpoint(tmp_path / "old", architecture, tied, sharded).state_dict()
    output, facts = link(tmp_path / "old")
    assert not output.is_symlink()
    assert not list(output.glob("*.bin*"))
    after = AutoModelForCausalLM.from_pretrained(output, dtype="auto").state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert facts["kind"] == "directory"
    assert any(name.endswith(".bin") for name in facts["given"])
    assert facts["files"] == checksums(output)


@pytest.mark.parametrize(
    ("stored", "said"), [("float32", "float16"), ("bfloat16", "float32"), ("float16", "bfloat16")]
)
def test_conversion_goes_by_the_numbers_and_not_by_what_the_config_says(
    link, tmp_path, stored, said
):
    old_checkpoint(tmp_path / "old", "llama", False, False, getattr(torch, stored))
    before = torch.load(tmp_path / "old" / "pytorch_model.bin", weights_only=True)
    output, _ = link(with_config(tmp_path / "old", dtype=said, torch_dtype=said))
    after = load_file(output / "model.safetensors")
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert after[name].dtype == getattr(torch, stored)
        assert torch.equal(after[name], tensor)


def test_what_was_fetched_keeps_repository_and_revision(link, tmp_path, checkpoints):
    facts = {"kind": "hub", "repository": "a/b", "revision": "c" * 40, "files": {"x": "0"}}
    write_source(tmp_path / "fetched.json", facts)
    fetched = ("--source", str(tmp_path / "fetched.json"))
    assert link(checkpoints["gpt2", "pre"], *fetched)[1] == facts
    old_checkpoint(tmp_path / "old", "gpt2", False, False)
    output, converted = link(tmp_path / "old", *fetched)
    assert converted == facts | {"given": facts["files"], "files": checksums(output)}


@pytest.mark.parametrize(
    ("key", "said", "method"),
    [
        ("quantization_config", {"quant_method": "bitsandbytes", "load_in_8bit": True}, "bitsand"),
        ("quantization_config", {"quant_method": "gptq", "bits": 4}, "gptq"),
        ("quantization_config", {"quant_method": "fp8"}, "fp8"),
        ("quantization_config", {"load_in_4bit": True}, "unknown method"),
        ("quantization_config", "odd", "unknown method"),
        ("compression_config", {"quant_method": "compressed-tensors"}, "compressed-tensors"),
    ],
)
def test_quantised_weights_are_refused_before_anything_is_read(link, copied, key, said, method):
    (copied / "model.safetensors").unlink()
    with pytest.raises(InputError, match="value vectors would be integer codes") as caught:
        link(with_config(copied, **{key: said}))
    assert method in str(caught.value)


@pytest.mark.parametrize("kind", ["bloom", "gemma3", None, ["gpt2"]])
def test_an_unknown_architecture_is_refused(link, copied, kind):
    with pytest.raises(InputError, match="has no known architecture"):
        link(with_config(copied, model_type=kind))


def test_a_missing_tokenizer_is_named_at_once(link, copied):
    for file in copied.glob("token*"):
        file.unlink()
    with pytest.raises(InputError, match="no tokenizer in it"):
        link(copied)


@pytest.mark.parametrize("instead", [None, "adapter_model.safetensors", "consolidated.00.pth"])
def test_missing_weights_are_named_at_once(link, copied, instead):
    weights = copied / "model.safetensors"
    weights.rename(copied / instead) if instead else weights.unlink()
    with pytest.raises(InputError, match="no weights in it"):
        link(copied)


def test_a_link_into_a_cleared_hub_cache_is_named(link, copied, tmp_path):
    (tmp_path / "fetched").symlink_to(tmp_path / "cache")
    with pytest.raises(InputError, match=r"fetched: a link to .*cache, which is gone"):
        link(tmp_path / "fetched")
    (copied / "model.safetensors").unlink()
    (copied / "model.safetensors").symlink_to(tmp_path / "blobs" / "abc")
    with pytest.raises(InputError, match=r"model\.safetensors: a link to .*abc, which is gone"):
        link(copied)


def test_an_adapter_in_place_of_a_model_is_named(link, tmp_path):
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match="holds an adapter and no whole model; give the model"):
        link(tmp_path)


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("pytorch_model.bin.index.json", "neither pytorch_model.bin nor pytorch_model.bin.index"),
        ("pytorch_model-00002-of-00002.bin", "00002-of-00002.bin: cannot be read (no such file)"),
    ],
)
def test_a_missing_file_of_old_weights_in_parts_is_named(link, tmp_path, gone, words):
    old_checkpoint(tmp_path / "old", "gpt2", False, True)
    (tmp_path / "old" / gone).unlink()
    with pytest.raises(InputError) as caught:
        link(tmp_path / "old")
    assert words in str(caught.value)


class Code:
    def __reduce__(self):
        return exec, ("import pathlib; pathlib.Path('ran').touch()",)


@pytest.mark.parametrize("content", ["code", "half", "codes"])
def test_old_weights_that_cannot_be_trusted_are_refused(link, tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    old_checkpoint(tmp_path / "old", "gpt2", False, False)
    file = tmp_path / "old" / "pytorch_model.bin"
    if content == "code":
        torch.save({"a": Code()}, file)
    elif content == "half":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    else:
        torch.save({"a": torch.ones(3, dtype=torch.int8)}, file)
    words = {"codes": "codes of a quantised model"}.get(content, "no state dict can be read")
    with pytest.raises(InputError, match=words) as caught:
        link(tmp_path / "old")
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out" / "pre").exists()
