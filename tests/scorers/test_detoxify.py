"""The classifier scorer computes what the package Detoxify computes with unitary/toxic-bert."""

import numpy as np
import torch
from support.small_classifiers import SMALL, bert_tokenizer, saved
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, set_seed

from dpo_neurons.scorers.classifier import load_classifier, score_by_classifier
from dpo_neurons.scorers.known_classifiers import KNOWN_CLASSIFIERS

LABELS = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
TEXTS = ["a fool !", "friend", "x y z . " * 20, "friends friendly fool", "q"]


def test_toxic_bert_scores_as_detoxify_does(tmp_path):
    set_seed(11)
    config = BertConfig(vocab_size=40, num_labels=6, max_position_embeddings=48, **SMALL)
    config.problem_type = "multi_label_classification"
    tokenizer = bert_tokenizer()
    tokenizer.model_max_length = 48
    folder = saved(tmp_path, BertForSequenceClassification(config), tokenizer, LABELS)
    # Detoxify: one padded batch, cut where the tokenizer says, a sigmoid of each logit.
    batch = AutoTokenizer.from_pretrained(folder)(
        TEXTS, return_tensors="pt", truncation=True, padding=True
    )
    model = BertForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        detoxify = torch.sigmoid(model(**batch)[0]).numpy()
    assert batch["input_ids"].shape == (5, 48)
    known = KNOWN_CLASSIFIERS["unitary/toxic-bert"]
    for batch_size in (1, 5):
        table = score_by_classifier(
            TEXTS, load_classifier(folder, "cpu"), known.label, known.activation, batch_size
        )
        assert list(table.columns) == ["toxicity", *LABELS[1:]]
        np.testing.assert_allclose(table.to_numpy(), detoxify, atol=1e-6)
    assert (detoxify.std(axis=0) > 0.01).all()
