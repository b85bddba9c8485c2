"""A model's rows read windows of text: perplexity, and predictions against unchanged checkpoints.

All rows read a batch of windows before any reads the next one. So they share what the blocks below
their changes give, and the unchanged checkpoints' predictions.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel

from dpo_neurons.interventions.divergence import (
    Divergences,
    References,
    add_divergences,
    begin_divergences,
    log_probabilities,
    sum_each_text,
    tabulate_divergences,
)
from dpo_neurons.interventions.outputs import (
    Intervention,
    name_broken_intervention,
    order_by_lowest_layer,
)
from dpo_neurons.interventions.perplexity_files import EXPLODED
from dpo_neurons.interventions.plans import empty_plan
from dpo_neurons.models.batches import limit_tokens, run_in_batches
from dpo_neurons.models.perplexity import (
    PROGRESS,
    Perplexity,
    check_losses,
    count_whole,
    predict,
    sum_losses,
)
from dpo_neurons.models.shared_layers import SharedLayers

FIRST_CHECKPOINT = "none"
"""The reference that rows are screened against."""


class _Readings(NamedTuple):
    """What is measured on a batch of windows."""

    losses: dict[str, np.ndarray]
    """By row: summed negative log-likelihoods, (n_windows,), in nats."""
    screen: np.ndarray
    """Those of the unchanged first checkpoint, or none where nothing is screened."""
    divergences: Divergences


@dataclass(frozen=True)
class _Reader:
    """Lets each row, and the references, read batches of windows."""

    model: PreTrainedModel
    references: References
    rows: Sequence[tuple[Intervention, int]]
    """With the lowest layers that they change, the highest first."""
    windows: Sequence[Tensor]
    compares: bool
    screens: bool

    def read(self, numbers: Sequence[int]) -> _Readings:
        """Read windows of these numbers, all of one length."""
        ids = torch.stack([self.windows[number] for number in numbers]).to(self.model.device)
        shared = SharedLayers(self.model, [lowest for _, lowest in self.rows])
        expected, screen = {}, np.empty(0)
        for name in self.references:
            screened = self.screens and name == FIRST_CHECKPOINT
            if self.compares or screened:
                logits = self._read_reference(name, ids, shared)
                if screened:
                    screen = sum_losses(logits, ids)
                    with name_broken_intervention(name, empty_plan(), self.references[name]):
                        check_losses(screen, numbers[0])
                if self.compares:
                    expected[name] = log_probabilities(logits[:, :-1])
                del logits  # others follow, and are as large
        losses, divergences = {}, {}
        for row, lowest in self.rows:
            with row.apply_in_text(self.model), shared.read_from(lowest):
                if row.source is not None:
                    row.source.see_text(ids)
                logits = predict(self.model, ids)
                losses[row.name] = sum_losses(logits, ids)
                check_losses(losses[row.name], numbers[0])
            divergences[row.name] = sum_each_text(expected, logits, [ids.shape[1] - 1] * len(ids))
            del logits
        return _Readings(losses, screen, divergences)

    def _read_reference(self, name: str, ids: Tensor, shared: SharedLayers) -> Tensor:
        unchanged = self.references[name]
        with shared.read_unchanged() if unchanged is self.model else nullcontext():
            return predict(unchanged, ids)


def measure_on_windows(
    model: PreTrainedModel,
    references: References,
    interventions: Sequence[Intervention],
    windows: Sequence[Tensor],
    batch_size: int,
    n_compared: int,
    n_screening: int = 0,
) -> tuple[list[Perplexity], pd.DataFrame]:
    """Measure perplexity on windows, ids (length,) each, and divergences on the first ones.

    model: the one that interventions change; outside of their blocks it is one of the references.
    windows: of one length, but the last may be shorter. At most `batch_size` are read at a time,
    and fewer where they are long. n_compared: windows on which divergences are measured; a window's
    last prediction, of a token beyond it, does not count. n_screening: a row breaks the model if
    its perplexity on so many windows is more than EXPLODED times the first checkpoint's; others
    then do not count for it. 0 to read all rows on all windows.
    Returns each row's perplexity, and the divergences' COLUMNS, a line a row and compared window.
    Raises InputError, with the row's name, for losses or predictions that are no numbers.
    """
    rows = order_by_lowest_layer(interventions, model)
    tokens = np.array([len(ids) - 1 for ids in windows])
    losses: dict[str, list[float]] = {row.name: [] for row in interventions}
    screen: list[float] = []
    broken: set[str] = set()
    divergences = begin_divergences(interventions, references)
    n_compared, n_screening = min(n_compared, len(windows)), min(n_screening, len(windows))
    stops = sorted({0, n_compared, n_screening, count_whole(windows), len(windows)})
    for start, stop in pairwise(stops):
        reader = _Reader(
            model, references, rows, windows, compares=stop <= n_compared,
            screens=stop <= n_screening,
        )  # fmt: skip
        size = limit_tokens(batch_size, len(windows[0]), model.device)
        for _, readings in run_in_batches(range(start, stop), size, reader.read, PROGRESS):
            screen += readings.screen.tolist()
            for name, of_batch in readings.losses.items():
                losses[name] += of_batch.tolist()
            add_divergences(divergences, readings.divergences)
        if stop == n_screening:
            most = EXPLODED * measure(screen, tokens).perplexity
            broken = {
                name for name, of_row in losses.items() if measure(of_row, tokens).perplexity > most
            }
        if stop >= n_compared:
            rows = [(row, lowest) for row, lowest in rows if row.name not in broken]
    for name in broken:
        # Windows beyond the screen were read to be compared.
        losses[name] = losses[name][:n_screening]
    counts = tokens[:n_compared].tolist()
    table = tabulate_divergences("neutral", counts, divergences, model, interventions)
    return [measure(losses[row.name], tokens) for row in interventions], table


def measure(losses: Sequence[float], tokens: np.ndarray) -> Perplexity:
    """Return the perplexity of the first windows; tokens: scored ones of all windows."""
    return Perplexity(np.array(losses), tokens[: len(losses)])
