"""Screening: a row that breaks the model is read on the first windows of text alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from dpo_neurons.interventions.perplexity_files import EXPLODED
from dpo_neurons.models.perplexity import Perplexity, score_windows


@dataclass(frozen=True)
class Screen:
    """What a row's perplexity is first compared with."""

    n_windows: int
    """Number of windows, the first ones, that are read first."""
    perplexity: float
    """That of the unchanged first model on them."""


def measure_on_windows(
    model: PreTrainedModel,
    windows: Sequence[torch.Tensor],
    batch_size: int,
    before: Callable[[torch.Tensor], None] | None = None,
    screen: Screen | None = None,
) -> Perplexity:
    """Score windows as `score_windows` does, or the first ones alone where the model is broken.

    It is broken if its perplexity on the screen's windows is more than EXPLODED times the screen's.
    Raises BrokenModelError if a loss is NaN or infinite.
    """
    if screen is None:
        return score_windows(model, windows, batch_size, before)
    first = score_windows(model, windows[: screen.n_windows], batch_size, before)
    rest = windows[screen.n_windows :]
    if not rest or first.perplexity > EXPLODED * screen.perplexity:
        return first
    others = score_windows(model, rest, batch_size, before, screen.n_windows)
    return Perplexity(
        np.concatenate([first.losses, others.losses]), np.concatenate([first.tokens, others.tokens])
    )
