"""Loading the tokenizer of a checkpoint: what it makes of texts, and damaged ones."""

import json
import shutil

import pytest
from support.byte_tokenizers import sentence_pieces
from support.changed_checkpoints import change_json
from support.tiny_models import WORDS
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from dpo_neurons.checkpoints.word_tokenizer import build_tokenizer
from dpo_neurons.errors import InputError
from dpo_neurons.models.loading import load_tokenizer


@pytest.fixture
def copied(checkpoints, tmp_path):
    """A copy of a checkpoint that may be damaged: copied(architecture)."""
    return lambda architecture: shutil.copytree(
        checkpoints[architecture, "pre"], tmp_path / architecture
    )


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
        ("llama", lambda: sentence_pieces(prefix=False), "LlamaTokenizerFast", "damn the dog"),
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
