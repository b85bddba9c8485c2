"""What each prompt adds to mean projections of sets of neurons, and bootstrap drops of them."""

from dataclasses import dataclass

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.statistics.bootstrap import resampled_sums


@dataclass(frozen=True)
class PromptProjections:
    """What each prompt adds to the mean projections of some sets of neurons, for one checkpoint."""

    sums: np.ndarray
    """(n_prompts, n_sets): projection summed over a prompt's counted tokens and a set's neurons."""
    tokens: np.ndarray
    """(n_prompts,): counted tokens."""


def prompt_projections(
    table: pd.DataFrame, cache: h5py.File, stage: str, sets: np.ndarray, row: str = ""
) -> PromptProjections:
    """Project each prompt's mean activations, set by set, for `stage` "pre" or "post".

    sets: (n_neurons, n_sets), whether a neuron is in a set. row: suffix of the projections' columns
    in a table of several rows, such as "_2". Value vectors enter through the table: projection /
    activation is v · w/|w|. A neuron whose mean activation is exactly zero (in practice a ReLU
    neuron that never fired) adds nothing.
    """
    per_prompt, tokens = cache["mlp_post"], cache["mask"][:].sum(axis=1)
    n_prompts, n_layers, d_mlp = per_prompt.shape
    activation = table[f"activation_{stage}"].to_numpy()
    projection = table[f"projection_{stage}{row}"].to_numpy()
    along = np.divide(projection, activation, out=np.zeros(len(table)), where=activation != 0)
    weights = np.where(sets, along[:, None], 0).astype(np.float32)
    weights = weights.reshape(n_layers, d_mlp, sets.shape[1])
    means = np.zeros((n_prompts, sets.shape[1]))
    for layer in range(n_layers):
        means += per_prompt[:, layer].astype(np.float32) @ weights[layer]
    return PromptProjections(means * tokens[:, None], tokens)


def resampled_drops(
    pre: PromptProjections, post: PromptProjections, resamples: int, seed: int
) -> np.ndarray:
    """Drops of the sets' mean projections, (resamples, n_sets), in resamples of the prompts.

    The same prompts are drawn for both checkpoints, and each weighs by its counted tokens.
    Resamples that draw only prompts that ended at once have no mean and are left out.
    """
    columns = (pre.tokens, post.tokens, pre.sums, post.sums)
    drawn = resampled_sums(np.column_stack(columns), resamples, seed)
    drawn = drawn[(drawn[:, :2] > 0).all(axis=1)]
    tokens_pre, tokens_post, *_ = np.hsplit(drawn, (1, 2))
    sums_pre, sums_post = np.hsplit(drawn[:, 2:], 2)
    return sums_pre / tokens_pre - sums_post / tokens_post
