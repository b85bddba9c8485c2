"""Figure 18: what is drawn of the rewards while DPO tunes."""

import json

import pandas as pd
import pytest

from dpo_neurons.figures.rewards import aggregate, chart


def rewards(held_out):
    tuned = [
        {"step": step, "pairs": "tuned", "chosen_reward": step, "rejected_reward": -step,
         "accuracy": step % 2}
        for step in range(1, 31)
    ]  # fmt: skip
    measured = [
        {"step": step, "pairs": "held_out", "chosen_reward": 0.5, "rejected_reward": -1.0,
         "accuracy": 0.875}
        for step in (0, 30)
    ]  # fmt: skip
    return pd.DataFrame(tuned + measured * held_out)


def test_tuned_pairs_are_averaged_over_ten_steps_and_held_out_ones_are_not():
    data = aggregate(rewards(held_out=True))
    chosen = data[(data["pairs"] == "tuned") & (data["quantity"] == "chosen")].set_index("step")
    assert chosen.loc[1, "value"] == 1
    assert chosen.loc[30, "value"] == sum(range(21, 31)) / 10
    measured = data[data["pairs"] == "held_out"]
    assert measured.loc[measured["quantity"] == "rejected", "value"].tolist() == [-1, -1]
    assert set(data["quantity"]) == {"chosen", "rejected", "accuracy"}


@pytest.mark.parametrize("held_out", [False, True])
def test_the_subtitle_says_the_held_out_accuracy_where_there_is_one(held_out):
    specification = json.dumps(chart(aggregate(rewards(held_out)), "toy").to_dict())
    assert ("whose accuracy at the end is 88%" in specification) == held_out
