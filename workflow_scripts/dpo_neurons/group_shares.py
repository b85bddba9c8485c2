"""Shares of the neuron groups in the reduction, with bootstrap intervals over prompts."""

from dataclasses import dataclass

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.bootstrap import interval, resampled_counts
from dpo_neurons.groups import GROUPS, RAISING, REDUCING


@dataclass(frozen=True)
class PromptProjections:
    """What each prompt adds to the groups' mean projections, for one checkpoint."""

    sums: np.ndarray
    """(n_prompts, 8): projection summed over a prompt's counted tokens and a group's neurons."""
    tokens: np.ndarray
    """(n_prompts,): counted tokens."""


def prompt_projections(table: pd.DataFrame, cache: h5py.File, stage: str) -> PromptProjections:
    """Project each prompt's mean activations, group by group, for `stage` "pre" or "post".

    Value vectors enter through the table: projection / activation is v · w/|w|. A neuron whose mean
    activation is exactly zero (in practice a ReLU neuron that never fired) adds nothing.
    """
    per_prompt, tokens = cache["per_prompt"], cache["mask"][:].sum(axis=1)
    n_prompts, n_layers, d_mlp = per_prompt.shape
    activation = table[f"activation_{stage}"].to_numpy()
    projection = table[f"projection_{stage}"].to_numpy()
    along = np.divide(projection, activation, out=np.zeros(len(table)), where=activation != 0)
    names = table["group"].to_numpy()
    weights = np.stack([np.where(names == group, along, 0.0) for group in GROUPS], axis=1)
    weights = weights.reshape(n_layers, d_mlp, len(GROUPS)).astype(np.float32)
    means = np.zeros((n_prompts, len(GROUPS)))
    for layer in range(n_layers):
        means += per_prompt[:, layer].astype(np.float32) @ weights[layer]
    return PromptProjections(means * tokens[:, None], tokens)


def summarise_groups(
    table: pd.DataFrame,
    pre: PromptProjections,
    post: PromptProjections,
    resamples: int,
    level: float,
    seed: int,
) -> pd.DataFrame:
    """A row a group, reducing ones first: group, neurons, reduction, share, share_low, share_high.

    share is of the group's side: of the sum over the four reducing groups (v1, figure 2a), or over
    the four raising ones. The interval holds the groups' members fixed and resamples prompts, the
    same ones for both checkpoints.
    """
    by_group = table.groupby("group", observed=True)["reduction"]
    neurons = by_group.size().reindex(GROUPS, fill_value=0)
    reduction = by_group.sum().reindex(GROUPS, fill_value=0.0)
    counts = resampled_counts(len(pre.tokens), resamples, seed)
    # A resample that draws only prompts that ended at once has no mean.
    counts = counts[(counts @ pre.tokens > 0) & (counts @ post.tokens > 0)]
    resampled = _mean(counts, pre) - _mean(counts, post)
    low, high = interval(_shares(resampled), level)
    return pd.DataFrame(
        {
            "group": GROUPS,
            "neurons": neurons.to_numpy(),
            "reduction": reduction.to_numpy(),
            "share": _shares(reduction.to_numpy()[None])[0],
            "share_low": low,
            "share_high": high,
        }
    )


def _mean(counts: np.ndarray, projections: PromptProjections) -> np.ndarray:
    return (counts @ projections.sums) / (counts @ projections.tokens)[:, None]


def _shares(reductions: np.ndarray) -> np.ndarray:
    """Divide reductions, (…, 8), by the sum of their side; 0 where a side is empty."""
    sides = (slice(0, len(REDUCING)), slice(len(REDUCING), len(REDUCING) + len(RAISING)))
    shares = np.zeros_like(reductions)
    for side in sides:
        total = reductions[..., side].sum(axis=-1, keepdims=True)
        np.divide(reductions[..., side], total, out=shares[..., side], where=total != 0)
    return shares
