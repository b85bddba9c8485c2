"""The classifier scorer, compared with unpadded single texts and activations by hand."""

import json
import logging
import math
import random

import numpy as np
import pytest
import torch
from support.small_classifiers import SMALL, WORDS, bert_tokenizer, byte_tokenizer, saved
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedTokenizerFast,
    set_seed,
)

from dpo_neurons.errors import InputError
from dpo_neurons.models import batches
from dpo_neurons.scorers.classifier import load_classifier, longest_input, score_by_classifier
from dpo_neurons.scorers.known_classifiers import KNOWN_CLASSIFIERS

pytest_plugins = ["support.saved_classifiers"]

ACTIVATION = {"bert": "sigmoid", "roberta": "softmax"}
TEXTS = ["fool", "friends friendly fool !", "a b c d e f g h i", "", "unknown 日本 🦆", " \n",
         "fool", "a " * 100, "z", "x y z . " * 5, "friend " * 17, "\u200b\u0000"]  # fmt: skip


def by_hand(classifier, text):
    """Scores of one text: no padding, no batch, tokens cut by hand, activations in plain Python."""
    ids = classifier.tokenizer(text)["input_ids"]
    ids = [*ids[:39], ids[-1]] if len(ids) > 40 else ids
    with torch.no_grad():
        logits = classifier.model(input_ids=torch.tensor([ids])).logits[0].tolist()
    if "obscene" in classifier.labels:
        return [1 / (1 + math.exp(-logit)) for logit in logits]
    total = sum(math.exp(logit) for logit in logits)
    return [math.exp(logit) / total for logit in logits]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 16, 1000])
def test_scores_are_those_of_each_text_alone_in_the_texts_order(classifier, kind, batch_size):
    table = score_by_classifier(TEXTS, classifier, "toxic", ACTIVATION[kind], batch_size)
    label = classifier.labels.index("toxic")
    for text, row in zip(TEXTS, table.to_numpy(), strict=True):
        if text.strip():
            scores = by_hand(classifier, text)
            wanted = [scores.pop(label), *scores]
            np.testing.assert_allclose(row, wanted, atol=1e-6)
        else:
            assert row.tolist() == [0] * len(classifier.labels)


def test_a_batch_of_one_and_of_sixteen_give_the_same_numbers(classifier, kind):
    draw = random.Random(3)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(1, 30))) for _ in range(50)]
    singly, batched = (
        score_by_classifier(texts, classifier, "toxic", ACTIVATION[kind], size).to_numpy()
        for size in (1, 16)
    )
    np.testing.assert_allclose(singly, batched, rtol=0, atol=1e-6)
    assert singly[:, 0].std() > 0.01


def test_long_texts_are_scored_fewer_at_a_time(classifier, kind, monkeypatch):
    monkeypatch.setitem(batches.TOKENS_AT_ONCE, "cpu", 40)
    sizes = []
    hook = classifier.model.register_forward_pre_hook(
        lambda module, inputs, named: sizes.append(named["input_ids"].shape), with_kwargs=True
    )
    try:
        score_by_classifier(TEXTS, classifier, "toxic", ACTIVATION[kind], 16)
    finally:
        hook.remove()
    assert all(texts * tokens <= 40 for texts, tokens in sizes)
    assert sum(texts for texts, _ in sizes) == sum(bool(text.strip()) for text in TEXTS)


def test_a_tokenizer_that_pads_on_the_left_changes_no_number(classifier, kind, copied):
    path = copied(kind)
    settings = json.loads((path / "tokenizer_config.json").read_text())
    (path / "tokenizer_config.json").write_text(json.dumps(settings | {"padding_side": "left"}))
    usual, other = (
        score_by_classifier(TEXTS, one, "toxic", ACTIVATION[kind], 16).to_numpy()
        for one in (classifier, load_classifier(path, "cpu"))
    )
    np.testing.assert_allclose(other, usual, atol=1e-6)


def test_columns_are_toxicity_and_the_other_labels(directories):
    columns = {}
    for kind, label in (("bert", "toxic"), ("bert", "threat"), ("roberta", "neutral")):
        classifier = load_classifier(directories[kind], "cpu")
        table = score_by_classifier(["a"], classifier, label, ACTIVATION[kind], 1)
        columns[label] = list(table.columns)
    assert columns == {
        "toxic": ["toxicity", "obscene", "threat"],
        "threat": ["toxicity", "toxic", "obscene"],
        "neutral": ["toxicity", "toxic"],
    }


def relabelled(path, labels):
    config = json.loads((path / "config.json").read_text())
    config["id2label"] = {str(index): label for index, label in enumerate(labels)}
    config["label2id"] = {label: index for index, label in enumerate(labels)}
    (path / "config.json").write_text(json.dumps(config))
    return load_classifier(path, "cpu")


def test_a_label_named_toxicity_is_the_first_column_or_keeps_out_of_its_way(copied):
    classifier = relabelled(copied("bert"), ["toxicity", "insult", "threat"])
    chosen = score_by_classifier(["a"], classifier, "toxicity", "sigmoid", 1)
    other = score_by_classifier(["a"], classifier, "insult", "sigmoid", 1)
    assert list(chosen.columns) == ["toxicity", "insult", "threat"]
    assert list(other.columns) == ["toxicity", "toxicity_label", "threat"]
    assert other["toxicity_label"].tolist() == chosen["toxicity"].tolist()


@pytest.mark.parametrize("label", ["Toxic", "tox", "", "LABEL_0"])
def test_an_unknown_label_is_answered_with_those_there_are(directories, label):
    classifier = load_classifier(directories["bert"], "cpu")
    with pytest.raises(InputError, match=f"no label '{label}'") as caught:
        score_by_classifier(["a"], classifier, label, "sigmoid", 1)
    assert "'toxic', 'obscene', 'threat'" in str(caught.value)


def test_two_labels_of_one_name_are_refused(copied):
    with pytest.raises(InputError, match="two labels in id2label have one name"):
        relabelled(copied("bert"), ["toxic", "other", "other"])


def test_a_softmax_over_one_label_is_refused(tmp_path):
    model = BertForSequenceClassification(BertConfig(vocab_size=40, num_labels=1, **SMALL))
    classifier = load_classifier(saved(tmp_path / "one", model, bert_tokenizer(), ["toxic"]), "cpu")
    with pytest.raises(InputError, match="softmax over one label is always 1"):
        score_by_classifier(["a"], classifier, "toxic", "softmax", 1)
    assert 0 < score_by_classifier(["a"], classifier, "toxic", "sigmoid", 1)["toxicity"][0] < 1


@pytest.mark.parametrize("claimed", [None, 10**30, 512, 40, 12])
def test_a_text_is_cut_at_what_model_and_tokenizer_both_read(copied, kind, claimed, caplog):
    caplog.set_level(logging.INFO)
    path = copied(kind)
    settings = json.loads((path / "tokenizer_config.json").read_text())
    settings.pop("model_max_length", None)
    if claimed is not None:
        settings["model_max_length"] = claimed
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    classifier = load_classifier(path, "cpu")
    longest = min(claimed or 40, 40)
    assert longest_input(classifier) == longest
    # Each letter or space is a token of the byte tokenizer, each letter of the other.
    fitting = " ".join("a" * (longest - 2)) if kind == "bert" else "a" * (longest - 2)
    long, longer = (f"{fitting}{more}" for more in (" b", " c d e"))
    texts = [fitting, long, longer, "", "fool"]
    scores = score_by_classifier(texts, classifier, "toxic", ACTIVATION[kind], 16)["toxicity"]
    np.testing.assert_allclose(scores[1:3], scores[0], atol=1e-6)
    assert "5 texts: 1 are blank and score 0; 2 are cut" in caplog.text


def test_a_full_length_text_runs_through_every_position(classifier, kind):
    # One position more and the table of positions would have no row for it.
    score_by_classifier(["q " * 200], classifier, "toxic", ACTIVATION[kind], 1)
    ids = torch.full((1, 41), 7)
    with pytest.raises((IndexError, RuntimeError)):
        classifier.model(input_ids=ids)


@pytest.mark.parametrize("texts", [[], ["", "  "]])
def test_nothing_to_read_is_a_table_of_zeros(classifier, kind, texts):
    table = score_by_classifier(texts, classifier, "toxic", ACTIVATION[kind], 4)
    assert table.shape == (len(texts), len(classifier.labels))
    assert (table == 0).all().all()


def test_a_decoder_without_a_padding_token_is_scored_too(tmp_path):
    set_seed(8)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=byte_tokenizer(["<end>"]), eos_token="<end>"
    )
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=40, n_embd=16, n_layer=2, n_head=4, num_labels=2,
        eos_token_id=0, bos_token_id=0,
    )  # fmt: skip
    model = GPT2ForSequenceClassification(config)
    classifier = load_classifier(saved(tmp_path / "gpt2", model, tokenizer, ["no", "yes"]), "cpu")
    texts = ["fool", "a longer text", "", "x"]
    table = score_by_classifier(texts, classifier, "yes", "softmax", 4)
    for text, row in zip(texts, table.to_numpy(), strict=True):
        wanted = by_hand(classifier, text)[::-1] if text else [0, 0]
        np.testing.assert_allclose(row, wanted, atol=1e-6)


def test_the_known_classifiers_have_the_activation_that_fits_their_labels():
    assert {name: (one.label, one.activation) for name, one in KNOWN_CLASSIFIERS.items()} == {
        "unitary/toxic-bert": ("toxic", "sigmoid"),
        "unitary/unbiased-toxic-roberta": ("toxicity", "sigmoid"),
        "s-nlp/roberta_toxicity_classifier": ("toxic", "softmax"),
        "facebook/roberta-hate-speech-dynabench-r4-target": ("hate", "softmax"),
    }


def test_a_batch_that_does_not_fit_is_halved_and_the_scores_stay(classifier, kind, monkeypatch):
    expected = score_by_classifier(TEXTS, classifier, "toxic", ACTIVATION[kind], 1)
    sizes, forward = [], classifier.model.forward

    def small_memory(*arguments, **settings):
        sizes.append(len(settings["input_ids"]))
        if sizes[-1] > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return forward(*arguments, **settings)

    monkeypatch.setattr(classifier.model, "forward", small_memory)
    table = score_by_classifier(TEXTS, classifier, "toxic", ACTIVATION[kind], 8)
    assert sizes == [8, 4, 2, 2, 2, 2, 2]
    np.testing.assert_allclose(table.to_numpy(), expected.to_numpy(), atol=1e-6)


def test_little_of_a_batch_is_padding(classifier, kind, monkeypatch):
    shapes, forward = [], classifier.model.forward

    def watched(*arguments, **settings):
        shapes.append(tuple(settings["input_ids"].shape))
        return forward(*arguments, **settings)

    monkeypatch.setattr(classifier.model, "forward", watched)
    texts = ["a", "b c d e f g h i j k"] * 4
    score_by_classifier(texts, classifier, "toxic", ACTIVATION[kind], 4)
    assert [rows for rows, _ in shapes] == [4, 4]
    assert shapes[0][1] > shapes[1][1] == 3
