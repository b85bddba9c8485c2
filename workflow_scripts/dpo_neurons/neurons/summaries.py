"""Sums of reductions by group and over all neurons, with intervals.

The intervals are bootstraps over prompts. Groups, and the sum of positive reductions, hold neurons
that are chosen by the sign of what is then summed. The papers choose and sum on the same prompts;
their numbers are not corrected for that selection. The cross-fitted ones beside them are.
"""

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.neurons.contributions import row_suffixes
from dpo_neurons.neurons.cross_fitted_groups import cross_fit_groups
from dpo_neurons.neurons.cross_fitted_sums import Choose, cross_fit_layers, read_components
from dpo_neurons.neurons.groups import GROUPS, RAISING, REDUCING
from dpo_neurons.neurons.prompt_projections import (
    PromptProjections,
    project_both,
    resample_drops,
)
from dpo_neurons.statistics.bootstrap import ENDS, interval, resampled_counts
from dpo_neurons.statistics.cross_fitting import add_up, assign_folds, sum_intervals

CORRECTED = "corrected_for_selection"
"""Column that says what is corrected for choosing and summing on the same prompts.

In a table of groups or layers it names the columns; in a table of quantities it says yes, no, or
nothing of a quantity that sums no chosen neurons.
"""
CORRECTED_COLUMNS = "crossfitted_… only"


def group_sets(table: pd.DataFrame) -> np.ndarray:
    """Whether each neuron of a table of contributions is in each group: (n, 8)."""
    return np.column_stack([table["group"] == group for group in GROUPS])


def summarise_groups(
    table: pd.DataFrame,
    pre: h5py.File,
    post: h5py.File,
    definition: str,
    resamples: int,
    level: float,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sum contributions by group, and by layer and group.

    The first table has what `sum_by_group` returns, then what `cross_fit_groups` does, then
    CORRECTED. For a direction of several rows, the sums along each row and in total follow with
    their intervals: reduction_1, reduction_1_low, reduction_1_high, …, reduction_total_high, and
    the cross-fitted ones. The second has layer, group, neurons, reduction, and the cross-fitted
    reduction with its interval.

    definition: of the groups, "v1" or "v3".
    """
    sets = group_sets(table)
    bootstrap = resamples, level, seed
    before, after = project_both(table, pre, post, sets)
    groups = sum_by_group(table, before, after, *bootstrap)
    crossfitted, layers = cross_fit_groups(table, pre, post, definition, *bootstrap)
    groups = groups.merge(crossfitted, on="group", validate="1:1")
    groups[CORRECTED] = CORRECTED_COLUMNS
    for row in row_suffixes(table):
        before, after = project_both(table, pre, post, sets, row)
        along_row = sum_by_group(table, before, after, *bootstrap, row=row)
        crossfitted, _ = cross_fit_groups(table, pre, post, definition, *bootstrap, row=row)
        for end in ENDS:
            groups[f"reduction{row}{end}"] = along_row[f"reduction{end}"]
        for end in ENDS:
            name = f"crossfitted_reduction{end}"
            groups[name.replace("reduction", f"reduction{row}")] = crossfitted[name]
    return groups, _sum_layers(table).merge(layers, on=["layer", "group"], validate="1:1")


def _sum_layers(table: pd.DataFrame) -> pd.DataFrame:
    """Sum contributions by layer and group: layer, group, neurons, reduction."""
    sums = table.groupby(["layer", "group"], observed=True)["reduction"].agg(
        neurons="size", reduction="sum"
    )
    index = pd.MultiIndex.from_product([table["layer"].unique(), GROUPS], names=["layer", "group"])
    return sums.reindex(index, fill_value=0).reset_index()


def sum_by_group(
    table: pd.DataFrame,
    pre: PromptProjections,
    post: PromptProjections,
    resamples: int,
    level: float,
    seed: int,
    row: str = "",
) -> pd.DataFrame:
    """Sum contributions by group, a row a group, the four reducing ones first.

    Returns group, neurons, reduction, share, and the ends of the intervals of share and reduction.
    share is of the group's side: of the sum over the four reducing groups (Yang et al. 2024, arXiv
    2411.06424v1, figure 2a), or over the four raising ones. The intervals resample prompts, the
    same ones for both checkpoints, and hold the groups' members fixed. Neurons are chosen and
    summed on the same prompts; neither sums nor intervals are corrected for that selection.

    pre, post: projections of the sets of `group_sets`. row: suffix of a subspace's columns, such as
    "_2".
    """
    by_group = table.groupby("group", observed=True)[f"reduction{row}"]
    neurons = by_group.size().reindex(GROUPS, fill_value=0)
    reduction = by_group.sum().reindex(GROUPS, fill_value=0.0)
    drops = resample_drops(pre, post, resamples, seed)
    share_low, share_high = interval(_shares(drops), level)
    reduction_low, reduction_high = interval(drops, level)
    return pd.DataFrame(
        {
            "group": GROUPS,
            "neurons": neurons.to_numpy(),
            "reduction": reduction.to_numpy(),
            "share": _shares(reduction.to_numpy()[None])[0],
            "share_low": share_low,
            "share_high": share_high,
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
    """Whether each neuron of a table of contributions reduces, and True: (n, 2)."""
    reduces = table["reduction"].to_numpy() > 0
    return np.column_stack([reduces, np.ones(len(reduces), dtype=bool)])


def choose_reducing(table: pd.DataFrame) -> Choose:
    """Sort neurons by activations alone: 0 if they reduce, 1 if not. table: contributions."""
    components = read_components(table)

    def choose(activation_pre: np.ndarray, activation_post: np.ndarray) -> np.ndarray:
        reduction = activation_pre * components["pre"] - activation_post * components["post"]
        return np.where(reduction > 0, 0, 1)

    return choose


def cross_fit_positive(
    table: pd.DataFrame,
    pre: h5py.File,
    post: h5py.File,
    resamples: int,
    level: float,
    seed: int,
) -> tuple[float, float, float]:
    """Sum the reductions of neurons that reduce on other prompts: value, low, high."""
    folds = assign_folds(len(pre["mask"]), seed)
    layers = cross_fit_layers(table, pre, post, folds, choose_reducing(table), 2)
    counts = resampled_counts(len(folds), resamples, seed)
    value, low, high = sum_intervals(add_up([fit for _, fit in layers]), counts, level)
    return value[0], low[0], high[0]


def summarise_totals(
    table: pd.DataFrame,
    pre: h5py.File,
    post: h5py.File,
    resamples: int,
    level: float,
    seed: int,
) -> pd.DataFrame:
    """Sum contributions over all neurons: quantity, value, low, high, and CORRECTED.

    neurons: how many there are. reducing and active: the shares of them with a positive reduction
    and with a positive mean activation before fine-tuning. positive_reduction and net_reduction:
    the sums of the positive and of all reductions. crossfitted_positive_reduction: what neurons
    reduce on prompts other than those by which they were found to reduce.

    The interval of positive_reduction holds its set of neurons fixed. It is chosen and summed on
    the same prompts, and not corrected for that selection. Counts of neurons have no interval: in a
    resample, noise carries neurons near zero over it, so its counts lie nearer to one half than
    those of the sample do.
    """
    reduction = table["reduction"].to_numpy()
    sides = project_both(table, pre, post, total_sets(table))
    low, high = interval(resample_drops(*sides, resamples, seed), level)
    crossfitted = cross_fit_positive(table, pre, post, resamples, level, seed)
    rows = [
        ("neurons", len(table), np.nan, np.nan, ""),
        ("reducing", np.mean(reduction > 0), np.nan, np.nan, ""),
        ("active", np.mean(table["activation_pre"].to_numpy() > 0), np.nan, np.nan, ""),
        ("positive_reduction", reduction[reduction > 0].sum(), low[0], high[0], "no"),
        ("crossfitted_positive_reduction", *crossfitted, "yes"),
        ("net_reduction", reduction.sum(), low[1], high[1], ""),
    ]
    return pd.DataFrame(rows, columns=["quantity", "value", "low", "high", CORRECTED])
