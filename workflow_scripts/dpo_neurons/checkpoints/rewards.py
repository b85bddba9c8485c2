"""The rewards of DPO while it tunes: what the model has learned of the preference pairs.

The reward of an answer y is β · log(π(y) / π_ref(y)), Rafailov et al. 2023 (arXiv 2305.18290).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

COLUMNS = (
    "step",
    "pairs",
    "loss",
    "chosen_reward",
    "rejected_reward",
    "margin",
    "accuracy",
    "chosen_log_probability",
)
COLLAPSE = 1.0
"""Fall of the chosen answers' mean log-probability, in nats a token, that is warned of."""


@dataclass(frozen=True)
class PairReadings:
    """What both models say of a batch of preference pairs."""

    chosen_reward: Tensor
    """(pairs,), of the whole answer."""
    rejected_reward: Tensor
    margin: Tensor
    """(pairs,), chosen reward - rejected reward; the loss is computed from it."""
    chosen_log_probability: Tensor
    """(pairs,), of the chosen answer under the tuned model, in nats a token."""


def read_pairs(
    policy: Tensor, reference: Tensor, tokens: Tensor, is_answer: Tensor, beta: float
) -> PairReadings:
    """Compute the rewards of a batch's pairs.

    policy, reference: log-probabilities, (n_tokens, vocabulary), of the tokens, (n_tokens,), of all
    answers. is_answer: (2 · pairs, length), where they stand; chosen answers first.
    """
    gathered = [states.gather(-1, tokens[:, None])[:, 0] for states in (policy, reference)]
    tuned, first = (
        read.new_zeros(is_answer.shape).masked_scatter(is_answer, read) for read in gathered
    )
    chosen, rejected = (tuned - first).sum(dim=1).chunk(2)
    log_probability = (tuned.sum(dim=1) / is_answer.sum(dim=1)).chunk(2)[0]
    return PairReadings(
        chosen_reward=beta * chosen.detach(),
        rejected_reward=beta * rejected.detach(),
        margin=beta * (chosen - rejected),
        chosen_log_probability=log_probability.detach(),
    )


class RewardLog:
    """Rows of the rewards, one for each step and each measurement of the held-out pairs."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def add(self, step: int, pairs: str, batches: Sequence[PairReadings]) -> None:
        """Add the means over pairs; pairs: "tuned" or "held_out"."""
        chosen = torch.cat([batch.chosen_reward for batch in batches])
        rejected = torch.cat([batch.rejected_reward for batch in batches])
        margin = torch.cat([batch.margin.detach() for batch in batches])
        log_probability = torch.cat([batch.chosen_log_probability for batch in batches])
        # Before the first step all margins are 0: half of them count as won.
        accuracy = (1 + margin.sign()) / 2
        loss = -functional.logsigmoid(margin)
        values = (loss, chosen, rejected, margin, accuracy, log_probability)
        means = [value.mean().item() for value in values]
        self._rows.append(dict(zip(COLUMNS, (step, pairs, *means), strict=True)))

    @property
    def last_margin(self) -> float:
        """The margin of the last step's pairs; 0 before the first step."""
        margins = (row["margin"] for row in reversed(self._rows) if row["pairs"] == "tuned")
        return float(next(margins, 0.0))

    def table(self) -> pd.DataFrame:
        """All rows, COLUMNS; loss is DPO's, without a KL penalty."""
        return pd.DataFrame(self._rows, columns=list(COLUMNS))


def describe_rewards(table: pd.DataFrame) -> str:
    """Describe the held-out pairs' rewards after tuning; without such pairs, an empty text."""
    rows = table[table["pairs"] == "held_out"]
    if rows.empty:
        return ""
    last = rows.iloc[-1]
    return (
        f"held-out pairs: the chosen answer has the larger reward in {last['accuracy']:.1%}, "
        f"chosen reward {last['chosen_reward']:.3f}, rejected {last['rejected_reward']:.3f}"
    )


def describe_collapse(table: pd.DataFrame) -> str:
    """Warn of chosen answers that became improbable; an empty text if they did not.

    Held-out pairs are looked at where there are some, first against last; else the means over the
    first and the last tenth of the steps.
    """
    pairs = "held_out" if (table["pairs"] == "held_out").any() else "tuned"
    read = table.loc[table["pairs"] == pairs, "chosen_log_probability"]
    tenth = 1 if pairs == "held_out" else max(len(read) // 10, 1)
    before, after = read.iloc[:tenth].mean(), read.iloc[-tenth:].mean()
    if not before - after > COLLAPSE:
        return ""
    return (
        f"the chosen answers became improbable, from {before:.2f} to {after:.2f} nats a token: the "
        "model may write broken text, which a scorer takes for mild; lower learning_rate or "
        "steps, or raise beta or kl_weight"
    )
