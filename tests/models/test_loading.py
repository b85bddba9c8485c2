"""Loading checkpoints, whole and damaged."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.by_hand import forward
from support.byte_tokenizers import byte_level, sentence_pieces
from support.changed_checkpoints import change_json
from support.tiny_models import WORDS
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from dpo_neurons.checkpoints.word_tokenizer import build_tokenizer
from dpo_neurons.errors import InputError
from dpo_neurons.models.checkpoint_folder import read_config
from dpo_neurons.models.loading import load_model, load_tokenizer


@pytest.fixture
def copied(checkpoints, tmp_path):
    """A copy of a checkpoint that may be damaged: copied(architecture)."""
    return lambda architecture: shutil.copytree(
        checkpoints[architecture, "pre"], tmp_path / architecture
    )


def test_a_model_is_loaded_for_inference_only(model):
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.generation_config.do_sample is False
    assert model.generation_config.eos_token_id == 2


def test_weights_are_those_of_the_file(checkpoints, architecture, model):
    stored = load_file(checkpoints[architecture, "pre"] / "model.safetensors")
    weights = model.state_dict()
    loaded = {name.replace("embed_out", "lm_head"): tensor for name, tensor in stored.items()}
    assert set(loaded) <= set(weights)
    assert all(torch.equal(weights[name], tensor) for name, tensor in loaded.items())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_number_format_is_the_one_asked_for(checkpoints, architecture, dtype):
    model = load_model(checkpoints[architecture, "pre"], dtype, "cpu")
    assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, dtype)}


def test_loading_is_repeatable(checkpoints, architecture, model):
    again = load_model(checkpoints[architecture, "pre"], "float32", "cpu")
    logits = [forward(one, [[5, 6, 7]])["logits"] for one in (model, again)]
    assert torch.equal(*logits)


def test_an_unknown_architecture_is_named_with_the_known_ones(copied):
    checkpoint = copied("gpt2")
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | {"model_type": "bloom"}))
    with pytest.raises(InputError, match="'bloom' has no known architecture") as caught:
        load_model(checkpoint, "float32", "cpu")
    for word in (str(checkpoint), "gpt2, llama, mistral, gemma2", "architectures.py"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, r"no config\.json in it"),
        ("{", r"config\.json: not valid JSON"),
        ('{"a":' * 5000, r"config\.json: not valid JSON"),
        ("{}", "model_type 'missing' has no known architecture"),
        ("[]", r"config\.json"),
    ],
)
def test_a_missing_or_damaged_config_is_named(copied, content, words):
    checkpoint = copied("gpt2")
    (checkpoint / "config.json").unlink()
    if content is not None:
        (checkpoint / "config.json").write_text(content)
    with pytest.raises(InputError, match=words) as caught:
        load_model(checkpoint, "float32", "cpu")
    assert str(checkpoint) in str(caught.value)


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no config\.json in it"):
        read_config(tmp_path / "nowhere")


@pytest.mark.parametrize("keep", [None, 0, 7, 200, 9000])
def test_missing_or_truncated_weights_are_named(copied, keep):
    checkpoint = copied("llama")
    weights = checkpoint / "model.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    if keep is not None:
        weights.write_bytes(content[:keep])
    words = "no weights in it" if keep is None else r"model\.safetensors: cannot be read"
    with pytest.raises(InputError, match=words) as caught:
        load_model(checkpoint, "float32", "cpu")
    assert str(checkpoint) in str(caught.value)


def test_weights_that_lack_a_tensor_are_refused_rather_than_made_up(copied):
    checkpoint = copied("llama")
    tensors = load_file(checkpoint / "model.safetensors")
    del tensors["model.layers.1.mlp.down_proj.weight"]
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"down_proj"):
        load_model(checkpoint, "float32", "cpu")


def test_weights_of_another_shape_are_refused(copied):
    checkpoint = copied("llama")
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | {"intermediate_size": 20}))
    with pytest.raises(InputError, match="cannot load the model"):
        load_model(checkpoint, "float32", "cpu")


def test_a_tokenizer_pads_on_the_left_whatever_it_says_itself(copied):
    checkpoint = copied("gpt2")
    path = checkpoint / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"padding_side": "right"}))
    batch = load_tokenizer(checkpoint)(["w1 w2", "w3"], padding=True)
    assert batch["input_ids"] == [[4, 5], [0, 6]]
    assert batch["attention_mask"] == [[1, 1], [0, 1]]


def test_a_tokenizer_without_padding_pads_with_the_end_of_text(copied):
    checkpoint = copied("gpt2")
    path = checkpoint / "tokenizer_config.json"
    config = {k: v for k, v in json.loads(path.read_text()).items() if k != "pad_token"}
    path.write_text(json.dumps(config))
    tokenizer = load_tokenizer(checkpoint)
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 2


def test_a_tokenizer_with_nothing_to_pad_with_is_named(copied):
    checkpoint = copied("gpt2")
    path = checkpoint / "tokenizer_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in config.items() if not k.endswith("_token")}))
    with pytest.raises(InputError, match="neither a padding token nor one that ends") as caught:
        load_tokenizer(checkpoint)
    assert str(caught.value).startswith(str(checkpoint))


def test_a_gpu_without_room_is_told_apart_from_a_damaged_checkpoint(copied, monkeypatch):
    def full(*arguments, **named):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", full)
    with pytest.raises(InputError, match=r"no room on 1 GPU\(s\); raise models.….gpus"):
        load_model(copied("gpt2"), "float32", "cpu")


def test_a_missing_tokenizer_is_named(copied, architecture):
    checkpoint = copied(architecture)
    for path in checkpoint.glob("token*"):
        path.unlink()
    with pytest.raises(InputError, match="no tokenizer in it") as caught:
        load_tokenizer(checkpoint)
    assert str(checkpoint) in str(caught.value)


@pytest.mark.parametrize(
    ("file", "content"),
    [("tokenizer_config.json", "[]"), ("config.json", "[]"), ("config.json", '{"model_type": []}')],
)
def test_a_tokenizer_whose_configuration_is_of_another_form_is_named(copied, file, content):
    checkpoint = copied("llama")
    (checkpoint / file).write_text(content)
    with pytest.raises(InputError, match="cannot load a tokenizer") as caught:
        load_tokenizer(checkpoint)
    assert "\n" not in str(caught.value)


def test_json_beside_the_weights_that_is_of_another_form_is_named(copied):
    checkpoint = copied("llama")
    (checkpoint / "generation_config.json").write_text("[1]")
    with pytest.raises(InputError, match=r"generation_config\.json: not valid \(.*list"):
        load_model(checkpoint, "float32", "cpu")
    (checkpoint / "generation_config.json").unlink()
    weights = load_file(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors").rename(checkpoint / "model-00001-of-00001.safetensors")
    places = dict.fromkeys(weights, "model-00001-of-00001.safetensors")
    index = checkpoint / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    load_model(checkpoint, "float32", "cpu")
    index.write_text(json.dumps({"weight_map": places}))
    with pytest.raises(InputError, match=r"index\.json: the key 'metadata' holds no JSON object"):
        load_model(checkpoint, "float32", "cpu")


@pytest.mark.parametrize(
    "changes", [{"num_return_sequences": 5}, {"max_new_tokens": 0}, {"early_stopping": 7}]
)
def test_decoding_defaults_that_transformers_refuses_are_named(copied, changes):
    checkpoint = copied("llama")
    change_json(checkpoint / "generation_config.json", **changes)
    with pytest.raises(
        InputError, match=rf"generation_config\.json: not valid .*{next(iter(changes))}"
    ):
        load_model(checkpoint, "float32", "cpu")


@pytest.mark.parametrize(
    "changes", [{"return_dict": False}, {"attn_implementation": "flash_attention_2"},
                {"attn_implementation": "not there"}]
)  # fmt: skip
def test_what_a_config_asks_of_the_machine_or_of_outputs_is_left_out(copied, changes):
    checkpoint = copied("llama")
    whole = forward(load_model(checkpoint, "float32", "cpu"), [[5, 6, 7]])["logits"]
    change_json(checkpoint / "config.json", **changes)
    model = load_model(checkpoint, "float32", "cpu")
    assert torch.equal(forward(model, [[5, 6, 7]])["logits"], whole)
    assert model(torch.tensor([[5, 6, 7]])).logits.shape == (1, 3, 40)


def test_a_damaged_tokenizer_is_named(copied):
    checkpoint = copied("gpt2")
    (checkpoint / "tokenizer.json").write_text("{")
    with pytest.raises(InputError, match="cannot load a tokenizer"):
        load_tokenizer(checkpoint)


@pytest.mark.parametrize(
    ("architecture", "made", "declared", "text"),
    [
        ("qwen2", lambda: build_tokenizer(WORDS), None, "w1 w5"),
        ("llama", lambda: sentence_pieces(prefix=True), "LlamaTokenizerFast", " damn the dog"),
        ("llama", byte_level, "LlamaTokenizerFast", " damn the dog"),
    ],
)
def test_a_text_has_the_ids_that_tokenizer_json_says(copied, architecture, made, declared, text):
    checkpoint = copied(architecture)
    made().save_pretrained(checkpoint)
    if declared:
        change_json(checkpoint / "tokenizer_config.json", tokenizer_class=declared)
    described = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    ids = load_tokenizer(checkpoint)(text, add_special_tokens=False)["input_ids"]
    assert ids == described.encode(text, add_special_tokens=False).ids
    assert len(ids) > 1


CUT_OFF = {"type": "Precompiled", "precompiled_charsmap": "AAAAAA=="}
OWN_CODE = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", None]}}


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("tokenizer.json", {"model": {"type": "WordLevel", "vocab": {}, "unk_token": "<unk>"}}),
        ("tokenizer.json", {"normalizer": CUT_OFF}),
        ("tokenizer_config.json", {"model_max_length": "many"}),
        ("tokenizer_config.json", OWN_CODE),
    ],
)
def test_a_tokenizer_whose_parts_make_no_ids_is_named(copied, file, changes):
    checkpoint = copied("llama")
    change_json(checkpoint / file, **changes)
    with pytest.raises(InputError, match="cannot load a tokenizer") as caught:
        load_tokenizer(checkpoint)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error", [ZeroDivisionError, MemoryError, KeyboardInterrupt, AssertionError]
)
def test_what_no_damaged_tokenizer_causes_is_no_sentence(copied, monkeypatch, error):
    def fail(*arguments, **named):
        raise error

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", fail)
    with pytest.raises(error):
        load_tokenizer(copied("llama"))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_attention_implementations_agree(checkpoints, architecture, model, attention):
    if (architecture, attention) == ("gemma2", "sdpa"):  # it caps scores, which sdpa cannot
        with pytest.raises(InputError, match=r"models\.….attention: sdpa cannot be used"):
            load_model(checkpoints[architecture, "pre"], "float32", "cpu", attention)
        return
    other = load_model(checkpoints[architecture, "pre"], "float32", "cpu", attention)
    assert other.config._attn_implementation == attention
    ids = [[5, 6, 7, 30, 12, 9]]
    logits = [forward(one, ids)["logits"] for one in (model, other)]
    torch.testing.assert_close(*logits, rtol=0, atol=1e-5)


def test_attention_that_is_not_installed_is_named_with_its_key(checkpoints):
    words = r"models\.….attention: flash_attention_2 cannot be used"
    with pytest.raises(InputError, match=words) as caught:
        load_model(checkpoints["llama", "pre"], "float32", "cpu", "flash_attention_2")
    assert "set it to default" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_values_that_a_config_cannot_have_are_a_sentence(copied):
    checkpoint = copied("llama")
    config = json.loads((checkpoint / "config.json").read_text())
    for change in ({"hidden_size": "wide"}, {"num_attention_heads": 5}):
        (checkpoint / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(InputError, match="cannot load the model") as caught:
            load_model(checkpoint, "float32", "cpu")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("capabilities", "warned"),
    [
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False}, True),
        ({"architecture": "x86_64", "avx512_bf16": True}, False),
        ({"architecture": "x86_64", "amx_bf16": True}, False),
        ({"architecture": "aarch64"}, False),
    ],
)
def test_a_processor_that_is_slow_in_bfloat16_is_told(
    checkpoints, monkeypatch, caplog, capabilities, warned
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    with caplog.at_level("INFO"):
        load_model(checkpoints["gpt2", "pre"], "bfloat16", "cpu")
    assert ("float32 is several times faster here" in caplog.text) == warned
    caplog.clear()
    load_model(checkpoints["gpt2", "pre"], "float32", "cpu")
    assert "several times" not in caplog.text
