"""The classifier scorer: any Hugging Face sequence classifier, in batches of similar length."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import (
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from dpo_neurons.errors import InputError
from dpo_neurons.models.batches import (
    TOKENS_AT_ONCE,
    BatchSize,
    TokenLimit,
    first_batch_size,
    order_longest_first,
    run_in_batches,
)
from dpo_neurons.scorers.pretrained import check_vocabulary, load_padding_tokenizer, load_weights

log = logging.getLogger("dpo_neurons")

UNLIMITED = 1_000_000
"""Tokenizers without a maximum give a huge number."""


@dataclass(frozen=True)
class Classifier:
    """A sequence classifier that is ready to score."""

    directory: Path
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    labels: list[str]
    """In the order of the logits."""


def load_classifier(directory: Path, device: str) -> Classifier:
    """Load a sequence classifier in float32, and its tokenizer.

    Raises InputError for a directory that holds none, damaged files and missing weights.
    """
    model = load_weights(
        directory, AutoModelForSequenceClassification, torch.float32, "sequence classifier"
    )
    labels = [str(model.config.id2label[index]) for index in range(model.config.num_labels)]
    if len(set(labels)) < len(labels):
        raise InputError(
            f"{directory / 'config.json'}: two labels in id2label have one name ({labels}); "
            "rename one"
        )
    # Encoders count positions from the left, padding included.
    tokenizer = load_padding_tokenizer(directory, "right")
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    return Classifier(directory, model.to(device), tokenizer, labels)


def score_by_classifier(
    texts: Sequence[str],
    classifier: Classifier,
    label: str,
    activation: str,
    batch_size: BatchSize,
) -> pd.DataFrame:
    """Score texts by the probability, in [0, 1], of each of the classifier's labels.

    Columns: toxicity, the probability of `label`; then the other labels under their names, one
    named toxicity as toxicity_label. activation: sigmoid or softmax. A blank text scores 0 in
    every column.
    Raises InputError for a label that the classifier does not have, or scores that are no numbers.
    """
    _check_label(classifier, label, activation)
    rows = _encoded(texts, classifier)
    lengths = [len(row["input_ids"]) for row in rows.values()]
    order = np.array(list(rows), dtype=int)[order_longest_first(lengths)]
    ordered = [rows[index] for index in order]
    device = classifier.model.device
    scores = np.zeros((len(texts), len(classifier.labels)))
    for start, batch in run_in_batches(
        ordered,
        first_batch_size(batch_size, device),
        lambda batch: _probabilities(classifier, batch, activation),
        "scoring",
        TokenLimit([len(row["input_ids"]) for row in ordered], TOKENS_AT_ONCE[device.type]),
    ):
        scores[order[start : start + len(batch)]] = batch
    if not np.isfinite(scores).all():
        raise InputError(
            f"{classifier.directory}: the classifier's scores are not numbers; "
            "fetch or make it again"
        )
    columns = {"toxicity": scores[:, classifier.labels.index(label)]}
    for name, column in zip(classifier.labels, scores.T, strict=True):
        if name != label:
            columns["toxicity_label" if name == "toxicity" else name] = column
    return pd.DataFrame(columns)


def longest_input(classifier: Classifier) -> int | None:
    """Return the most tokens the classifier reads, special ones included; None if unlimited."""
    limits = [classifier.tokenizer.model_max_length]
    positions = getattr(classifier.model.config, "max_position_embeddings", None) or 0
    if positions > 0:
        limits.append(positions - _unused_positions(classifier.model))
    longest = min(limits)
    return longest if longest < UNLIMITED else None


def _unused_positions(model: PreTrainedModel) -> int:
    # RoBERTa counts positions from after its padding token on, so it reads 512 of 514.
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Embedding) and name.endswith("position_embeddings"):
            return 0 if module.padding_idx is None else module.padding_idx + 1
    return 0


def _check_label(classifier: Classifier, label: str, activation: str) -> None:
    if label not in classifier.labels:
        raise InputError(
            f"{classifier.directory}: no label {label!r}; set the scorer's label to one of "
            f"{', '.join(map(repr, classifier.labels))}"
        )
    if activation == "softmax" and len(classifier.labels) == 1:
        raise InputError(
            f"{classifier.directory}: softmax over one label is always 1; "
            "set the scorer's activation to sigmoid"
        )


def _encoded(texts: Sequence[str], classifier: Classifier) -> dict[int, dict[str, list[int]]]:
    """Encode each text that has any tokens: token ids and the tokenizer's other outputs."""
    longest = longest_input(classifier)
    rows, truncated = {}, 0
    for index, text in enumerate(texts):
        row = dict(classifier.tokenizer(text, verbose=False)) if text.strip() else {}
        if longest is not None and len(row.get("input_ids", [])) > longest:
            truncated += 1
            row = dict(classifier.tokenizer(text, truncation=True, max_length=longest))
        if row.get("input_ids"):
            rows[index] = row
    blank = len(texts) - len(rows)
    log.info("%d texts: %d are blank and score 0; %d are cut", len(texts), blank, truncated)
    largest = max((max(row["input_ids"]) for row in rows.values()), default=0)
    check_vocabulary(classifier.directory, classifier.model, largest)
    return rows


def _probabilities(
    classifier: Classifier, rows: Sequence[dict[str, list[int]]], activation: str
) -> np.ndarray:
    """Return scores (batch, labels) of encoded texts."""
    batch = classifier.tokenizer.pad(list(rows), return_tensors="pt")
    with torch.inference_mode():
        logits = classifier.model(**batch.to(classifier.model.device)).logits.double()
    chosen = torch.sigmoid(logits) if activation == "sigmoid" else torch.softmax(logits, dim=-1)
    return chosen.cpu().numpy()
