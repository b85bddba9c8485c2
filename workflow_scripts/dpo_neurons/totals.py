"""What all neurons of a model do together: how many reduce, how much, and what is left of it."""

import numpy as np
import pandas as pd

from dpo_neurons.bootstrap import interval
from dpo_neurons.prompt_projections import PromptProjections, resampled_drops


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
