"""The rewards of DPO: each by hand, in the log, and the warning of a collapse."""

import pandas as pd
import pytest
import torch

from dpo_neurons.checkpoints.objectives import Objective
from dpo_neurons.checkpoints.pair_readings import read_pairs
from dpo_neurons.checkpoints.rewards import (
    COLUMNS,
    RewardLog,
    describe_collapse,
    describe_rewards,
    reward_pairs,
)

BETA = 0.25
DPO = Objective("sigmoid", BETA)


@pytest.fixture
def batch():
    """Two pairs whose four answers have 2, 1, 3 and 2 tokens, in a vocabulary of 5."""
    torch.manual_seed(0)
    is_answer = torch.tensor([[0, 1, 1, 0], [0, 0, 0, 1], [1, 1, 1, 0], [0, 1, 1, 0]]).bool()
    policy, reference = torch.randn(2, 8, 5).log_softmax(-1)
    return policy, reference, torch.tensor([0, 4, 2, 1, 1, 3, 0, 2]), is_answer


def by_hand(states, tokens, first, last):
    """Log-probability of an answer whose tokens stand at [first, last)."""
    return sum(float(states[place, tokens[place]]) for place in range(first, last))


ANSWERS = {"chosen": [(0, 2), (2, 3)], "rejected": [(3, 6), (6, 8)]}


def test_rewards_are_beta_times_the_log_ratio_of_each_whole_answer(batch):
    policy, reference, tokens, is_answer = batch
    pairs = read_pairs(policy, reference, tokens, is_answer)
    rewarded = reward_pairs(DPO, pairs)
    rewards = {
        kind: [
            BETA * (by_hand(policy, tokens, *place) - by_hand(reference, tokens, *place))
            for place in places
        ]
        for kind, places in ANSWERS.items()
    }
    assert rewarded.chosen.tolist() == pytest.approx(rewards["chosen"], rel=1e-5)
    assert rewarded.rejected.tolist() == pytest.approx(rewards["rejected"], rel=1e-5)
    a_token = [
        by_hand(policy, tokens, *place) / (place[1] - place[0]) for place in ANSWERS["chosen"]
    ]
    assert rewarded.chosen_log_probability.tolist() == pytest.approx(a_token, rel=1e-5)
    of_simpo = reward_pairs(Objective("simpo", BETA), pairs)
    assert of_simpo.chosen.tolist() == pytest.approx([BETA * mean for mean in a_token], rel=1e-5)


def test_the_log_has_the_means_over_the_pairs_of_all_batches(batch):
    rewards = reward_pairs(DPO, read_pairs(*batch))
    log = RewardLog()
    log.add(3, "held_out", [rewards, rewards])
    (row,) = log.table().to_dict("records")
    assert tuple(row) == COLUMNS
    assert (row["step"], row["pairs"]) == (3, "held_out")
    margins = (rewards.chosen - rewards.rejected).tolist()
    assert row["margin"] == pytest.approx(sum(margins) / 2)
    assert log.last_margin == 0  # held-out pairs are no step
    assert row["accuracy"] == sum(margin > 0 for margin in margins) / 2
    log.add(3, "tuned", [rewards])
    assert log.last_margin == row["margin"]
    losses = [torch.log1p(torch.exp(torch.tensor(-margin))) for margin in margins]
    assert row["loss"] == pytest.approx(float(sum(losses)) / 2, rel=1e-5)


def logged(pairs, *log_probabilities):
    rows = [
        {"step": step, "pairs": pairs, "accuracy": 0.75, "chosen_reward": -1.5,
         "rejected_reward": -2.25, "chosen_log_probability": value}
        for step, value in enumerate(log_probabilities)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_held_out_pairs_are_described_as_they_are_at_the_end():
    assert describe_rewards(logged("tuned", -1, -1)) == ""
    assert describe_rewards(logged("held_out", -1, -1)) == (
        "held-out pairs: the chosen answer has the larger reward in 75.0%, "
        "chosen reward -1.500, rejected -2.250"
    )


def test_a_collapse_is_warned_of_and_a_small_fall_is_not():
    assert "from -2.00 to -3.50 nats a token" in describe_collapse(logged("held_out", -2, -3.5))
    assert describe_collapse(logged("held_out", -2, -2.9)) == ""
    # Of tuned pairs the first and the last tenth are compared: single steps differ by chance.
    steady = [-2.0] * 19 + [-4.0]
    assert describe_collapse(logged("tuned", *steady)) == ""
    assert "from -2.00 to -4.00" in describe_collapse(logged("tuned", *steady, -4.0))
    both = pd.concat([logged("tuned", *[-2.0] * 9, -9.0), logged("held_out", -2, -2)])
    assert describe_collapse(both) == ""
