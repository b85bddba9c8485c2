"""The probe: a logistic regression on mean residual-stream states of labelled comments."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import Layers
from dpo_neurons.models.batches import order_longest_first, run_in_batches
from dpo_neurons.models.decoding import count_tokens


def mean_resid_post(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    batch_size: int,
) -> np.ndarray:
    """Mean over each text's tokens of the residual stream after the last block, (n, d_model).

    Padding is left out. The state is the stream itself, before the final norm: that is where the
    value vectors write.
    """
    states: list[torch.Tensor] = []

    def read(module: torch.nn.Module, inputs: object, output: object) -> None:
        states.append(output[0] if isinstance(output, tuple) else output)

    def means(batch_texts: Sequence[str]) -> np.ndarray:
        states.clear()
        batch = tokenizer(
            list(batch_texts),
            padding=True,
            # On the right, padding leaves the position ids of a causal model as they are.
            padding_side="right",
            truncation=True,
            max_length=model.config.max_position_embeddings,
            return_tensors="pt",
        ).to(model.device)
        with torch.inference_mode():
            model.base_model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
        last = states.pop().float()
        mask = batch["attention_mask"][..., None].to(last.device)
        return ((last * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)).cpu().numpy()

    order = order_longest_first(count_tokens(tokenizer, texts))
    ordered = [texts[index] for index in order]
    hook = Layers.of(model).blocks[-1].register_forward_hook(read)
    try:
        batches = [one for _, one in run_in_batches(ordered, batch_size, means, progress="reading")]
    finally:
        hook.remove()
    return np.concatenate(batches)[np.argsort(order)].astype(np.float64)


@dataclass(frozen=True)
class Probe:
    """A trained probe: its weight vector, (d_model,), and accuracies on both splits."""

    weight: np.ndarray
    training_accuracy: float
    validation_accuracy: float
    validation_rows: int


def train_probe(
    states: np.ndarray,
    labels: np.ndarray,
    validation_share: float,
    seed: int,
    label: str = "toxic",
) -> Probe:
    """Fit a logistic regression of labels, (n,) 0 or 1, on states, (n, d_model).

    The held-out share is stratified by label. `label` is what 1 means, for the error.
    Raises InputError if one of the labels is missing or too rare to be split.
    """
    counts = np.bincount(labels.astype(int), minlength=2)
    held_out = int(np.ceil(validation_share * len(labels)))
    if counts.min() < 2 or held_out < 2 or len(labels) - held_out < 2:
        raise InputError(
            f"data.labelled_comments: {counts[1]} {label} and {counts[0]} other comments, of "
            f"which {held_out} are held out, are too few for a probe; give more of each"
        )
    train_x, test_x, train_y, test_y = train_test_split(
        states, labels, test_size=validation_share, random_state=seed, stratify=labels
    )
    model = LogisticRegression(max_iter=1000).fit(train_x, train_y)
    return Probe(
        weight=model.coef_[0],
        training_accuracy=float(model.score(train_x, train_y)),
        validation_accuracy=float(model.score(test_x, test_y)),
        validation_rows=len(test_y),
    )
