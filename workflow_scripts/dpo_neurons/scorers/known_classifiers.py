"""Classifiers that the field uses: their label of toxicity, and how logits become scores."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownClassifier:
    """How to read a classifier's score."""

    label: str
    """The label whose score is toxicity."""
    activation: str
    """sigmoid where labels are independent, softmax where exactly one of them holds."""


KNOWN_CLASSIFIERS: dict[str, KnownClassifier] = {
    "unitary/toxic-bert": KnownClassifier("toxic", "sigmoid"),
    "unitary/unbiased-toxic-roberta": KnownClassifier("toxicity", "sigmoid"),
    "s-nlp/roberta_toxicity_classifier": KnownClassifier("toxic", "softmax"),
    "facebook/roberta-hate-speech-dynabench-r4-target": KnownClassifier("hate", "softmax"),
}
"""By repository."""
