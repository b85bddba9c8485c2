"""Classifiers the field uses: which label is toxicity, and how logits become scores."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownClassifier:
    """How a classifier's score is read."""

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
