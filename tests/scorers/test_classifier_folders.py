"""A classifier's directory: its own weights are read, in float32, and faults in it are told."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.small_classifiers import SMALL, bert_tokenizer, saved
from transformers import BertConfig, BertForMaskedLM

from dpo_neurons.errors import InputError
from dpo_neurons.scorers.classifier import load_classifier, score_by_classifier

pytest_plugins = ["support.saved_classifiers"]


def test_the_classifier_reads_its_own_weights_in_float32(classifier, directories, kind):
    stored = load_file(directories[kind] / "model.safetensors")
    weights = classifier.model.state_dict()
    assert set(stored) <= set(weights)
    assert all(torch.equal(weights[name], tensor) for name, tensor in stored.items())
    assert {parameter.dtype for parameter in classifier.model.parameters()} == {torch.float32}
    assert not classifier.model.training


def test_a_half_precision_checkpoint_is_run_in_float32(copied):
    path = copied("bert")
    stored = load_file(path / "model.safetensors")
    save_file(
        {name: tensor.half() for name, tensor in stored.items()},
        path / "model.safetensors",
        metadata={"format": "pt"},
    )
    parameters = load_classifier(path, "cpu").model.parameters()
    assert {parameter.dtype for parameter in parameters} == {torch.float32}


def test_weights_that_are_missing_are_not_made_up(copied, tmp_path):
    path = copied("bert")
    stored = load_file(path / "model.safetensors")
    del stored["classifier.weight"]
    save_file(stored, path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        InputError, match=r"'classifier\.weight' of the sequence classifier are missing"
    ):
        load_classifier(path, "cpu")
    filler = BertForMaskedLM(BertConfig(vocab_size=40, **SMALL))
    language_model = saved(tmp_path / "language model", filler, bert_tokenizer(), ["a", "b"])
    with pytest.raises(InputError, match="of the sequence classifier are missing"):
        load_classifier(language_model, "cpu")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "noise"])
def test_damaged_files_are_a_sentence_with_the_directory(copied, name, damage):
    path = copied("bert")
    content = (path / name).read_bytes()
    (path / name).unlink()
    if damage != "missing":
        left = {"empty": b"", "truncated": content[: len(content) // 2], "noise": b"\xff" * 999}
        (path / name).write_bytes(left[damage])
    with pytest.raises(InputError) as caught:
        load_classifier(path, "cpu")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_directory_without_a_tokenizer_is_refused(copied, kind):
    path = copied(kind)
    for file in path.glob("*token*"):
        file.unlink()
    with pytest.raises(InputError, match=r"tokenizer.*copy the tokenizer's files into it"):
        load_classifier(path, "cpu")


def test_another_models_tokenizer_is_refused(directories, copied):
    path = copied("bert")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(directories["roberta"] / name, path / name)
    classifier = load_classifier(path, "cpu")
    with pytest.raises(InputError, match="the tokenizer is another model's"):
        score_by_classifier(["é fool 日本"], classifier, "toxic", "sigmoid", 1)


def test_code_that_comes_with_a_checkpoint_is_not_run(copied):
    path = copied("bert")
    config = json.loads((path / "config.json").read_text())
    config |= {
        "model_type": "own",
        "auto_map": {
            "AutoConfig": "own.OwnConfig",
            "AutoModelForSequenceClassification": "own.OwnModel",
        },
    }
    (path / "config.json").write_text(json.dumps(config))
    ran = path / "ran"
    (path / "own.py").write_text(f"open({str(ran)!r}, 'w')\n")
    with pytest.raises(InputError, match="cannot load a sequence classifier"):
        load_classifier(path, "cpu")
    assert not ran.exists()


def test_weights_that_are_no_numbers_are_found_in_the_scores(copied):
    path = copied("bert")
    stored = load_file(path / "model.safetensors")
    stored["classifier.bias"][1] = float("nan")
    save_file(stored, path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="scores are not numbers"):
        score_by_classifier(["a"], load_classifier(path, "cpu"), "toxic", "sigmoid", 1)
