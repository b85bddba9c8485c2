"""Sums of reductions by group and over all neurons, with bootstrap intervals over prompts."""

import numpy as np
import pandas as pd

from dpo_neurons.neurons.groups import GROUPS, RAISING, REDUCING
from dpo_neurons.neurons.prompt_projections import PromptProjections, resampled_drops
from dpo_neurons.statistics.bootstrap import interval


def group_sets(table: pd.DataFrame) -> np.ndarray:
    """Whether each neuron of a table of contributions is in each of GROUPS, (n_neurons, 8)."""
    return np.column_stack([table["group"] == group for group in GROUPS])


def summarise_groups(
    table: pd.DataFrame,
    pre: PromptProjections,
    post: PromptProjections,
    resamples: int,
    level: float,
    seed: int,
    row: str = "",
) -> pd.DataFrame:
    """A row a group, reducing ones first: neurons, and reduction and share with their intervals.

    pre, post: projections of the groups. share is of the group's side: of the sum over the four
    reducing groups (v1, figure 2a), or over the four raising ones. The intervals hold the groups'
    members fixed and resample prompts, the same ones for both checkpoints. row: suffix of the
    reduction's column in a table of several rows, such as "_2".
    """
    by_group = table.groupby("group", observed=True)[f"reduction{row}"]
    neurons = by_group.size().reindex(GROUPS, fill_value=0)
    reduction = by_group.sum().reindex(GROUPS, fill_value=0.0)
    resampled = resampled_drops(pre, post, resamples, seed)
    low, high = interval(_shares(resampled), level)
    reduction_low, reduction_high = interval(resampled, level)
    return pd.DataFrame(
        {
            "group": GROUPS,
            "neurons": neurons.to_numpy(),
            "reduction": reduction.to_numpy(),
            "share": _shares(reduction.to_numpy()[None])[0],
            "share_low": low,
            "share_high": high,
            "reduction_low": reduction_low,
            "reduction_high": reduction_high,
        }
    )


def _shares(reductions: np.ndarray) -> np.ndarray:
    """Divide reductions, (…, 8), by the sum of their side; 0 where a side is empty."""
    sides = (slice(0, len(REDUCING)), slice(len(REDUCING), len(REDUCING) + len(RAISING)))
    shares = np.zeros_like(reductions)
    for side in sides:
        total = reductions[..., side].sum(axis=-1, keepdims=True)
        np.divide(reductions[..., side], total, out=shares[..., side], where=total != 0)
    return shares


def total_sets(table: pd.DataFrame) -> np.ndarray:
    """Whether each neuron of a table of contributions reduces, and all, (n_neurons, 2)."""
    reduces = table["reduction"].to_numpy() > 0
    return np.column_stack([reduces, np.ones(len(reduces), dtype=bool)])


def summarise_totals(
    table: pd.DataFrame,
    pre: PromptProjections,
    post: PromptProjections,
    resamples: int,
    level: float,
    seed: int,
) -> pd.DataFrame:
    """A row a quantity: quantity, value, low, high.

    neurons; reducing and active, the shares of them with a positive reduction and with a positive
    mean activation before; positive_reduction and net_reduction, the sums of the positive and of
    all reductions. pre, post: projections of the sets of `total_sets`, which the intervals of the
    sums hold fixed. Counts of neurons have no interval: in a resample, noise carries neurons near
    zero over it, so its counts lie nearer to one half than those of the sample do.
    """
    reduction = table["reduction"].to_numpy()
    low, high = interval(resampled_drops(pre, post, resamples, seed), level)
    nothing = np.nan
    rows = [
        ("neurons", len(table), nothing, nothing),
        ("reducing", np.mean(reduction > 0), nothing, nothing),
        ("active", np.mean(table["activation_pre"].to_numpy() > 0), nothing, nothing),
        ("positive_reduction", reduction[reduction > 0].sum(), low[0], high[0]),
        ("net_reduction", reduction.sum(), low[1], high[1]),
    ]
    return pd.DataFrame(rows, columns=["quantity", "value", "low", "high"])
