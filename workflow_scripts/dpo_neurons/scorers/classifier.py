"""The classifier scorer: any Hugging Face sequence classifier, in batches of similar length."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from dpo_neurons.errors import InputError
from dpo_neurons.files.json_text import read_json
from dpo_neurons.files.provenance import check_as_recorded
from dpo_neurons.models.batches import first_batch_size, order_longest_first, run_in_batches

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
    if not (directory / "config.json").is_file():
        raise InputError(
            f"{directory}: no config.json in it; set scorer.path to a directory as written by "
            "save_pretrained"
        )
    read_json(directory / "config.json", "fetch or make the classifier again")
    check_as_recorded(directory, torch.get_num_threads())
    try:
        model, report = AutoModelForSequenceClassification.from_pretrained(
            directory,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except MemoryError:
        raise
    except Exception as error:  # damaged files make transformers raise whatever there is
        raise InputError(
            f"{directory}: cannot load a sequence classifier ({_one_line(error)}); fetch or make "
            "it again, or set scorer to another"
        ) from error
    if report["missing_keys"]:
        # transformers would fill them with random numbers and go on.
        raise InputError(
            f"{directory}: the weights {sorted(report['missing_keys'])[0]!r} of the sequence "
            "classifier are missing; fetch or make it again, or set scorer to another"
        )
    labels = [str(model.config.id2label[index]) for index in range(model.config.num_labels)]
    if len(set(labels)) < len(labels):
        raise InputError(
            f"{directory / 'config.json'}: two labels in id2label have one name ({labels}); "
            "rename one"
        )
    tokenizer = _load_tokenizer(directory)
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    return Classifier(directory, model.to(device).eval(), tokenizer, labels)


def _load_tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False
        )
    except MemoryError:
        raise
    except Exception as error:  # the tokenizers library raises bare exceptions
        raise InputError(
            f"{directory}: cannot load a tokenizer ({_one_line(error)}); copy the tokenizer's "
            "files into it"
        ) from error
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        # transformers makes an empty tokenizer where there are no files.
        raise InputError(f"{directory}: no tokenizer in it; copy the tokenizer's files into it")
    # Encoders count positions from the left, padding included.
    tokenizer.padding_side = "right"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        raise InputError(
            f"{directory}: the tokenizer has no padding token; name one as pad_token in "
            "tokenizer_config.json"
        )
    return tokenizer


def score_by_classifier(
    texts: Sequence[str],
    classifier: Classifier,
    label: str,
    activation: str,
    batch_size: int | Literal["auto"],
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
    scores = np.zeros((len(texts), len(classifier.labels)))
    for start, batch in run_in_batches(
        [rows[index] for index in order],
        first_batch_size(batch_size, classifier.model.device),
        lambda batch: _probabilities(classifier, batch, activation),
        progress="scoring",
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
            f"{classifier.directory}: no label {label!r}; set scorer.label to one of "
            f"{', '.join(map(repr, classifier.labels))}"
        )
    if activation == "softmax" and len(classifier.labels) == 1:
        raise InputError(
            f"{classifier.directory}: softmax over one label is always 1; "
            "set scorer.activation to sigmoid"
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
    known = len(classifier.model.get_input_embeddings().get_parameter("weight"))
    if largest >= known:
        raise InputError(
            f"{classifier.directory}: the tokenizer gives token {largest}, but the model knows "
            f"{known}; the tokenizer is another model's, so copy the right files"
        )
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


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
