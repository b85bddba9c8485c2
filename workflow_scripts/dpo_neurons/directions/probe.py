"""The probe: a logistic regression on residual streams of labelled comments.

Yang et al. 2024 (arXiv 2411.06424v1), section 3, use the probe of Lee et al. 2024 (arXiv
2401.01967). The weight vector is the direction.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from dpo_neurons.errors import InputError


@dataclass(frozen=True)
class Probe:
    """A trained probe: its weight vector, (d_model,), and its accuracy on both splits."""

    weight: np.ndarray
    training_accuracy: float
    validation_accuracy: float
    validation_low: float
    """End of the 95 % interval (Wilson) of the validation accuracy."""
    validation_high: float
    validation_rows: int
    majority: float
    """Share of the more frequent label among the validation rows: what a constant would reach."""

    def describe(self) -> str:
        """Describe the accuracy, and say so where the probe has overfitted or learned nothing."""
        interval = f"[{self.validation_low:.3f}, {self.validation_high:.3f}]"
        text = (
            f"validation accuracy {self.validation_accuracy:.3f} {interval} on "
            f"{self.validation_rows} held-out comments, of which {self.majority:.3f} have one "
            f"label; training accuracy {self.training_accuracy:.3f}"
        )
        if self.majority >= self.validation_low:
            return f"{text}: no better than guessing the frequent label, so the direction is noise"
        if self.training_accuracy > self.validation_high:
            return f"{text}: it has overfitted; give more comments, or lower inverse_regularisation"
        return text


def train_probe(
    resid_post: np.ndarray,
    labels: np.ndarray,
    validation_share: float,
    seed: int,
    label: str = "toxic",
    inverse_regularisation: float = 1.0,
) -> Probe:
    """Fit a logistic regression of labels on residual streams.

    resid_post: (n, d_model), averaged over tokens. labels: (n,), 0 or 1. validation_share: of the
    rows, held out, stratified by label. label: what 1 means, for the error message.
    inverse_regularisation: C of the logistic regression; smaller weights for a smaller one.
    Raises InputError if one of the labels is missing or too rare to be split.
    """
    counts = np.bincount(labels.astype(int), minlength=2)
    held_out = int(np.ceil(validation_share * len(labels)))
    if counts.min() < 2 or held_out < 2 or len(labels) - held_out < 2:
        raise InputError(
            f"data.labelled_comments: {counts[1]} {label} and {counts[0]} other comments are too "
            f"few for a probe, because {held_out} of them are held out; give more of each"
        )
    train_x, test_x, train_y, test_y = train_test_split(
        resid_post, labels, test_size=validation_share, random_state=seed, stratify=labels
    )
    model = LogisticRegression(C=inverse_regularisation, max_iter=1000).fit(train_x, train_y)
    right = int((model.predict(test_x) == test_y).sum())
    interval = binomtest(right, len(test_y)).proportion_ci(0.95, method="wilson")
    return Probe(
        weight=model.coef_[0],
        training_accuracy=float(model.score(train_x, train_y)),
        validation_accuracy=right / len(test_y),
        validation_low=float(interval.low),
        validation_high=float(interval.high),
        validation_rows=len(test_y),
        majority=float(max(test_y.mean(), 1 - test_y.mean())),
    )
