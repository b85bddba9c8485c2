"""The net curve and the cancellation of neurons under resampled prompts.

Neurons keep their ranks by reduction, so neurons are ranked and summed on the same prompts, and not
corrected for that selection; the cross-fitted columns beside them are. Neurons are summed in bins
of neighbouring ranks, a layer in memory at a time, and the bootstrap draws the bins' sums instead
of single neurons.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.neurons.cancellation import (
    SHARES,
    STATISTICS,
    count_carrying_neurons,
    count_until_share,
    tabulate_cancellation,
)
from dpo_neurons.neurons.cross_fitted_curve import cross_fit_curve
from dpo_neurons.neurons.prompt_projections import sum_by_set, value_components
from dpo_neurons.neurons.summaries import CORRECTED, CORRECTED_COLUMNS
from dpo_neurons.statistics.bootstrap import interval, resampled_counts

EVEN_POINTS, EARLY_POINTS = 400, 200
"""Numbers of the curve's points: at even distances, and denser ones in the early ranks."""


@dataclass(frozen=True)
class Ranks:
    """The curve's points: each is a number of neurons, summed from rank 1 on."""

    points: np.ndarray
    """(n_bins + 1,), from 0 to all neurons; a bin lies between two."""
    marks: dict[str, int]
    """Named points: where the curve has 50, 90 and 99 % of its peak, the peak, the end."""

    @property
    def reducing_bins(self) -> int:
        """Return the number of bins before the peak."""
        return int(np.searchsorted(self.points, self.marks["peak"]))


def summarise_cancellation(
    table: pd.DataFrame,
    pre: h5py.File,
    post: h5py.File,
    resamples: int,
    level: float,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tabulate the cancellation of each layer and the net curve, both with intervals.

    table: contributions; pre and post: the caches of both checkpoints. Returns what `add_intervals`
    returns, with the columns of `cross_fit_curve` and CORRECTED.
    """
    falling = table.sort_values("rank")["reduction"].to_numpy()
    ranks = choose_ranks(falling)
    drops = resample_bins(table, pre, post, ranks, resamples, seed)
    by_layer, curve = add_intervals(tabulate_cancellation(table), drops, ranks, falling, level)
    crossfitted_layers, crossfitted_curve = cross_fit_curve(
        table, pre, post, ranks.points, ranks.reducing_bins, resamples, level, seed
    )
    # Several marks may share a point of the curve.
    places = np.searchsorted(ranks.points, curve["neurons"])
    curve = curve.join(crossfitted_curve.iloc[places].reset_index(drop=True))
    whole = curve["neurons"] == len(table)
    # The net sum of all neurons needs no choice, nor a wider interval.
    curve.loc[whole, ["crossfitted_low", "crossfitted_high"]] = curve.loc[
        whole, ["low", "high"]
    ].to_numpy()
    return tuple(
        part.assign(**{CORRECTED: CORRECTED_COLUMNS})
        for part in (by_layer.join(crossfitted_layers), curve)
    )


def choose_ranks(falling: np.ndarray) -> Ranks:
    """Choose points on the curve of reductions: dense early, then even.

    falling: (n_neurons,), reductions in falling order.
    """
    n = len(falling)
    marks = {name: count_carrying_neurons(falling, share) for name, share in SHARES.items()}
    marks |= {"peak": int((falling > 0).sum()), "net": n}
    even = np.linspace(0, n, min(EVEN_POINTS, n) + 1).round()
    early = np.geomspace(1, n, min(EARLY_POINTS, n)).round()
    points = np.unique(np.concatenate([even, early, [*marks.values()]]).astype(np.int64))
    return Ranks(points, marks)


def resample_bins(
    table: pd.DataFrame, pre: h5py.File, post: h5py.File, ranks: Ranks, resamples: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, layer by layer, the bins' numbers of neurons and resampled drops.

    table: contributions in order of layer and neuron; pre and post: both checkpoints' caches.
    Yields (n_bins,) and (resamples, n_bins): reductions summed over the layer's neurons in each bin
    of ranks. Both checkpoints get the same draws of prompts, and each prompt weighs by its counted
    tokens.
    """
    caches = {"pre": pre, "post": post}
    tokens = {stage: cache["mask"][:].sum(axis=1) for stage, cache in caches.items()}
    counts = resampled_counts(len(tokens["pre"]), resamples, seed)
    # A resample without any counted token has no mean.
    counts = counts[(counts @ tokens["pre"] > 0) & (counts @ tokens["post"] > 0)]
    _, n_layers, d_mlp = pre["mlp_post"].shape
    n_bins = len(ranks.points) - 1
    bins = np.searchsorted(ranks.points, table["rank"].to_numpy(), side="left") - 1
    bins = bins.reshape(n_layers, d_mlp)
    components = {stage: value_components(table, stage).reshape(bins.shape) for stage in caches}
    for layer in range(n_layers):
        order = np.argsort(bins[layer], kind="stable")
        means = {
            stage: (counts * tokens[stage])
            @ sum_by_set(
                cache["mlp_post"][:, layer], components[stage][layer], bins[layer], order, n_bins
            )
            / (counts @ tokens[stage])[:, None]
            for stage, cache in caches.items()
        }
        yield np.bincount(bins[layer], minlength=n_bins), means["pre"] - means["post"]


def add_intervals(
    by_layer: pd.DataFrame,
    drops: Iterator[tuple[np.ndarray, np.ndarray]],
    ranks: Ranks,
    falling: np.ndarray,
    level: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add intervals to the cancellation of each layer, and make the net curve.

    by_layer: of `tabulate_cancellation`. drops: of `resample_bins`. falling: (n_neurons,), the
    reductions in order of rank. Every neuron keeps its rank and its side in all resamples.

    Returns by_layer with the ends of the intervals of its STATISTICS, …_low and …_high, NaN where
    nothing reduces; and the curve: neurons (how many of the first ranks), cumulative (the sum of
    their reductions), low, high, and mark (a name in Ranks.marks, "" at other points).
    """
    bounds, sum_of_drops, neurons = [], np.zeros(()), np.zeros((), dtype=np.int64)
    for neurons_of_layer, drops_of_layer in drops:
        bounds.append(_bounds(drops_of_layer, neurons_of_layer, ranks.reducing_bins, level))
        sum_of_drops, neurons = sum_of_drops + drops_of_layer, neurons + neurons_of_layer
    bounds.append(_bounds(sum_of_drops, neurons, ranks.reducing_bins, level))
    table = by_layer.join(pd.DataFrame(bounds))

    low, high = interval(_accumulate(sum_of_drops), level)
    sums = np.concatenate([[0.0], np.cumsum(falling, dtype=np.float64)])
    curve = pd.DataFrame(
        {"neurons": ranks.points, "cumulative": sums[ranks.points], "low": low, "high": high}
    )
    curve["mark"] = ""
    marked = [
        curve[curve["neurons"] == point].assign(mark=mark) for mark, point in ranks.marks.items()
    ]
    unmarked = curve[~curve["neurons"].isin(ranks.marks.values())]
    curve = pd.concat([unmarked, *marked]).sort_values("neurons", kind="stable", ignore_index=True)
    return table, curve


def _accumulate(drops: np.ndarray) -> np.ndarray:
    """Sums over the first bins, (resamples, n_bins + 1), from none to all."""
    return np.concatenate([np.zeros((len(drops), 1)), np.cumsum(drops, axis=1)], axis=1)


def _bounds(
    drops: np.ndarray, neurons: np.ndarray, reducing_bins: int, level: float
) -> dict[str, float]:
    """Ends of the intervals of the STATISTICS, of drops, (resamples, n_bins).

    neurons: (n_bins,), how many neurons each bin holds. The first `reducing_bins` bins hold the
    neurons with positive reductions.
    """
    curve = _accumulate(drops)
    points = np.concatenate([[0], np.cumsum(neurons)])
    reducing, net = curve[:, reducing_bins], curve[:, -1]
    defined = reducing > 0
    statistics = {"reducing": reducing, "raising": net - reducing, "net": net}
    statistics["cancelled"] = 1 - net[defined] / reducing[defined]
    rising = curve[defined, : reducing_bins + 1]
    for name, share in SHARES.items():
        counts, _ = count_until_share(rising, points[: reducing_bins + 1], share)
        statistics[name] = np.ceil(counts)
    ends = {}
    for name in STATISTICS:
        resampled = statistics[name]
        low, high = interval(resampled, level) if len(resampled) else (np.nan, np.nan)
        ends[f"{name}_low"], ends[f"{name}_high"] = float(low), float(high)
    return ends
