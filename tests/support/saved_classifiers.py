"""A pytest plugin: directories of a small BERT and a small RoBERTa that classify texts."""

import shutil

import pytest
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    set_seed,
)

from dpo_neurons.scorers.classifier import load_classifier
from support.small_classifiers import SMALL, bert_tokenizer, roberta_tokenizer, saved

LABELS = {"bert": ["toxic", "obscene", "threat"], "roberta": ["neutral", "toxic"]}


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    """A directory of a small random BERT and RoBERTa that read 40 tokens."""
    set_seed(7)
    bert, roberta = bert_tokenizer(), roberta_tokenizer()
    made = {
        "bert": (
            BertForSequenceClassification(
                BertConfig(
                    vocab_size=len(bert), max_position_embeddings=40, num_labels=3,
                    problem_type="multi_label_classification", **SMALL,
                )
            ),
            bert,
        ),
        "roberta": (
            RobertaForSequenceClassification(
                RobertaConfig(
                    vocab_size=len(roberta), max_position_embeddings=42, type_vocab_size=1,
                    pad_token_id=1, bos_token_id=0, eos_token_id=2, num_labels=2, **SMALL,
                )
            ),
            roberta,
        ),
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("classifiers")
    return {kind: saved(folder / kind, *parts, LABELS[kind]) for kind, parts in made.items()}


@pytest.fixture(params=["bert", "roberta"])
def kind(request):
    return request.param


@pytest.fixture
def classifier(directories, kind):
    return load_classifier(directories[kind], "cpu")


@pytest.fixture
def copied(directories, tmp_path):
    """A copy that may be damaged: copied(kind)."""
    return lambda kind: shutil.copytree(directories[kind], tmp_path / kind)
