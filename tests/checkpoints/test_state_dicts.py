"""State dicts in .pt files: the weights as they were, or refused with the tensor's name."""

import json
import os
import pickle
import shutil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.by_hand import forward
from support.tiny_models import randomise, small_config
from transformers import AutoModelForCausalLM

from dpo_neurons.checkpoints.state_dicts import (
    build_model_from_state,
    read_state_dict,
    widest_format,
)
from dpo_neurons.errors import InputError
from dpo_neurons.models.loading import load_model
from dpo_neurons.models.unembedding import Unembedding

IDS = [[3, 9, 14, 5]]
ARCHITECTURES = ["gpt2", "llama", "gpt_neox", "opt"]
KEY = "transformer.h.1.mlp.c_fc.weight"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "policy.pt"


@pytest.fixture
def state(loaded):
    """A GPT-2's weights by name, to be changed."""
    return dict(loaded("gpt2", "post").state_dict())


def imported(content, file, like):
    torch.save(content, file)
    return build_model_from_state(file, like)


@pytest.mark.parametrize("wrap", ["flat", "reference", "data parallel", "compiled"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_model_is_the_one_whose_state_it_is(loaded, checkpoints, file, architecture, wrap):
    trained = loaded(architecture, "post")
    state = trained.state_dict()
    content = {
        "flat": state,
        "reference": {"step_idx": 7, "state": state, "metrics": {"loss": 0.3}},
        "data parallel": {f"module.{name}": tensor for name, tensor in state.items()},
        "compiled": {f"_orig_mod.{name}": tensor for name, tensor in state.items()},
    }[wrap]
    model = imported(content, file, checkpoints[architecture, "pre"]).eval()
    assert torch.equal(forward(model, IDS)["logits"], forward(trained, IDS)["logits"])


def test_files_in_the_older_format_are_read(state, checkpoints, file):
    torch.save({"state": state}, file, _use_new_zipfile_serialization=False)
    model = build_model_from_state(file, checkpoints["gpt2", "pre"])
    assert torch.equal(model.state_dict()[KEY], state[KEY])


def test_buffers_that_older_versions_stored_are_ignored(state, checkpoints, file):
    state["transformer.h.0.attn.bias"] = torch.tril(torch.ones(1, 1, 48, 48, dtype=torch.uint8))
    state["transformer.h.0.attn.masked_bias"] = torch.tensor(-1e4)
    model = imported(state, file, checkpoints["gpt2", "pre"])
    assert torch.equal(model.state_dict()[KEY], state[KEY])


def test_biases_of_attention_are_no_buffers(loaded, file):
    state = loaded("opt").state_dict()
    torch.save(state, file)
    assert read_state_dict(file).keys() == state.keys()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_the_number_format_stays(state, checkpoints, file, dtype):
    narrow = {name: tensor.to(getattr(torch, dtype)) for name, tensor in state.items()}
    after = imported(narrow, file, checkpoints["gpt2", "pre"]).state_dict()
    assert all(torch.equal(after[name], narrow[name]) for name in narrow)
    assert {tensor.dtype for tensor in after.values()} == {getattr(torch, dtype)}


def test_mixed_formats_are_widened_and_never_rounded(state, checkpoints, file):
    first = next(iter(state))
    mixed = {**state, first: state[first].bfloat16()}
    after = imported(mixed, file, checkpoints["gpt2", "pre"]).state_dict()
    assert {tensor.dtype for tensor in after.values()} == {torch.float32}
    assert all(torch.equal(after[name], mixed[name].float()) for name in mixed)
    halves = [torch.ones(1, dtype=torch.float16), torch.ones(1, dtype=torch.bfloat16)]
    assert widest_format(halves) == torch.float32


def changed(state, kind):
    if kind == "missing":
        del state[KEY]
    elif kind == "left over":
        state["v_head.weight"] = torch.ones(3)
    elif kind == "transposed":
        state[KEY] = state[KEY].T.contiguous()
    elif kind == "other vocabulary":
        state["transformer.wte.weight"] = torch.ones(41, 16)
    elif kind == "int8":
        state[KEY] = state[KEY].to(torch.int8)
    elif kind == "8-bit floats":
        state[KEY] = state[KEY].to(torch.float8_e4m3fn)
    return state


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", ["lacks", KEY]),
        ("left over", ["has besides", "v_head.weight"]),
        ("transposed", ["in another shape", KEY]),
        ("other vocabulary", ["in another shape", "transformer.wte.weight"]),
        ("int8", [KEY, "torch.int8 codes of a quantised model"]),
        ("8-bit floats", [KEY, "torch.float8_e4m3fn codes of a quantised model"]),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(state, checkpoints, file, kind, words):
    with pytest.raises(InputError) as caught:
        imported(changed(state, kind), file, checkpoints["gpt2", "pre"])
    for word in (str(file), *words):
        assert word in str(caught.value)


@pytest.mark.parametrize("rows", [38, 43])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_resized_vocabulary_is_taken_over(checkpoints, file, tmp_path, architecture, tied, rows):
    config = small_config(architecture)
    config.tie_word_embeddings = tied
    trained = AutoModelForCausalLM.from_config(config).eval()
    trained.resize_token_embeddings(rows)
    randomise(trained, 0.3)
    like = shutil.copytree(checkpoints[architecture, "pre"], tmp_path / "like")
    settings = json.loads((like / "config.json").read_text())
    (like / "config.json").write_text(json.dumps(settings | {"tie_word_embeddings": tied}))
    model = imported(trained.state_dict(), file, like).eval()
    assert model.config.vocab_size == rows
    logits = forward(model, IDS)["logits"]
    assert logits.shape[-1] == rows
    assert torch.equal(logits, forward(trained, IDS)["logits"])
    # As it is saved and loaded again, whether the two matrices are one or not.
    model.save_pretrained(tmp_path / "saved")
    again = load_model(tmp_path / "saved", "float32", "cpu")
    assert torch.equal(forward(again, IDS)["logits"], logits)
    assert Unembedding(tmp_path / "saved").vocabulary == rows


def test_a_state_of_another_architecture_is_refused(state, checkpoints, file):
    with pytest.raises(InputError, match=r"lacks 'model\..* and has besides 'transformer\."):
        imported(state, file, checkpoints["llama", "pre"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "neither a state dict"),
        (torch.ones(3), "neither a state dict"),
        ({"state": 3}, "neither a state dict"),
        ({"state": {}}, "holds no weights"),
        ({"transformer.h.0.attn.bias": torch.ones(1)}, "holds no weights"),
        ({1: torch.ones(3)}, "1 is not the name of a tensor"),
        ({"model": {"a": torch.ones(3)}}, "'model' is not the name of a tensor"),
        ({"a": torch.eye(3).to_sparse()}, "a is a sparse tensor"),
        ({"a": torch.ones(3, device="meta")}, "a has a shape and no numbers"),
    ],
)
def test_other_contents_are_refused(file, content, words):
    torch.save(content, file)
    with pytest.raises(InputError, match=words) as caught:
        read_state_dict(file)
    assert str(file) in str(caught.value)


class Code:
    def __reduce__(self):
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("old", [False, True])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(file, monkeypatch, old):
    monkeypatch.chdir(file.parent)
    if old:
        file.write_bytes(pickle.dumps({"state": Code()}))
    else:
        torch.save({"state": Code()}, file)
    with pytest.raises(InputError, match="may be code and are not read") as caught:
        read_state_dict(file)
    assert "weights_only" not in str(caught.value)  # no advice to run it after all
    assert not (file.parent / "ran").exists()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("share", [0, 0.001, 0.1, 0.5, 0.999])
def test_a_truncated_file_is_refused(state, file, share, zipped):
    torch.save({"state": state}, file, _use_new_zipfile_serialization=zipped)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match="no state dict can be read") as caught:
        read_state_dict(file)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_in_words(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("bytes") / "x.pt"
    file.write_bytes(content)
    with pytest.raises(InputError):
        read_state_dict(file)


def test_a_file_that_is_not_there_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere.pt"):
        with pytest.raises(InputError, match="no such file"):
            read_state_dict(path)


def test_a_damaged_configuration_is_named(state, checkpoints, file, tmp_path):
    like = shutil.copytree(checkpoints["gpt2", "pre"], tmp_path / "like")
    config = json.loads((like / "config.json").read_text())
    (like / "config.json").write_text(json.dumps(config | {"n_embd": "wide"}))
    with pytest.raises(InputError, match=r"config\.json: not valid"):
        imported(state, file, like)
