"""The rewards of pairs while a model is tuned: what it has learned of the preferences.

DPO's reward of an answer y is β · log(π(y) / π_ref(y)), Rafailov et al. 2023 (arXiv 2305.18290);
`Objective.rewards` has that of each objective.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from dpo_neurons.checkpoints.objectives import Objective
from dpo_neurons.checkpoints.pair_readings import PairReadings

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
class PairRewards:
    """What an objective makes of a batch of preference pairs."""

    losses: Tensor
    """(pairs,), without a KL penalty."""
    chosen: Tensor
    """(pairs,), the reward of the whole answer."""
    rejected: Tensor
    chosen_log_probability: Tensor
    """(pairs,), of the chosen answer under the tuned model, in nats a token."""


def reward_pairs(objective: Objective, pairs: PairReadings) -> PairRewards:
    """Compute a batch's losses and rewards; they teach nothing."""
    return PairRewards(
        losses=objective.losses(pairs).detach(),
        chosen=objective.rewards(pairs.chosen).detach(),
        rejected=objective.rewards(pairs.rejected).detach(),
        chosen_log_probability=pairs.chosen.mean_log_probability.detach(),
    )


class RewardLog:
    """Rows of the rewards, one for each step and each measurement of the held-out pairs."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def add(self, step: int, pairs: str, batches: Sequence[PairRewards]) -> None:
        """Add the means over pairs; pairs: "tuned" or "held_out"."""
        loss = torch.cat([batch.losses for batch in batches])
        chosen = torch.cat([batch.chosen for batch in batches])
        rejected = torch.cat([batch.rejected for batch in batches])
        log_probability = torch.cat([batch.chosen_log_probability for batch in batches])
        margin = chosen - rejected
        # Before DPO's first step all margins are 0: half of them count as won.
        accuracy = (1 + margin.sign()) / 2
        values = (loss, chosen, rejected, margin, accuracy, log_probability)
        means = [value.mean().item() for value in values]
        self._rows.append(dict(zip(COLUMNS, (step, pairs, *means), strict=True)))

    @property
    def last_margin(self) -> float:
        """The margin of the last step's pairs; 0 before the first step."""
        margins = (row["margin"] for row in reversed(self._rows) if row["pairs"] == "tuned")
        return float(next(margins, 0.0))

    def table(self) -> pd.DataFrame:
        """All rows, COLUMNS; loss is the objective's, without a KL penalty."""
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
