"""The net curve under resampled prompts, a layer in memory at a time.

Neurons keep their ranks by reduction. They are summed up in bins of neighbouring ranks before
anything is resampled, so that the bins' sums, not the neurons, are what a bootstrap draws from.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.neurons.cancellation import SHARES, STATISTICS, count_carrying_neurons
from dpo_neurons.statistics.bootstrap import interval, resampled_counts

EVEN_POINTS, EARLY_POINTS = 400, 200


@dataclass(frozen=True)
class Ranks:
    """The curve's points, as how many of the first ranks are summed up."""

    points: np.ndarray
    """(n_bins + 1,), from 0 to all neurons; a bin lies between two."""
    marks: dict[str, int]
    """Named points: where the curve has 50, 90 and 99 % of its peak, the peak, the end."""

    @property
    def reducing_bins(self) -> int:
        """How many bins lie before the peak."""
        return int(np.searchsorted(self.points, self.marks["peak"]))


def curve_ranks(falling: np.ndarray) -> Ranks:
    """Choose points on the curve of reductions, (n,) in falling order: dense early, then even."""
    n = len(falling)
    marks = {name: count_carrying_neurons(falling, share) for name, share in SHARES.items()}
    marks |= {"peak": int((falling > 0).sum()), "net": n}
    even = np.linspace(0, n, min(EVEN_POINTS, n) + 1).round()
    early = np.geomspace(1, n, min(EARLY_POINTS, n)).round()
    points = np.unique(np.concatenate([even, early, [*marks.values()]]).astype(np.int64))
    return Ranks(points, marks)


def resampled_drops(
    table: pd.DataFrame, pre: h5py.File, post: h5py.File, ranks: Ranks, resamples: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, a layer after the other, its neurons a bin, (n_bins,), and the bins' resampled drops.

    table: contributions in order of layer and neuron; pre and post: both checkpoints' caches. The
    drops are (resamples, n_bins): reductions summed over the layer's neurons in each bin of ranks,
    the same prompts drawn for both checkpoints, each weighted by its counted tokens. Value vectors
    enter through the table: projection / activation is v · w/|w|. A neuron whose mean activation is
    exactly zero (in practice a ReLU neuron that never fired) adds nothing.
    """
    caches = {"pre": pre, "post": post}
    tokens = {stage: cache["mask"][:].sum(axis=1) for stage, cache in caches.items()}
    counts = resampled_counts(len(tokens["pre"]), resamples, seed)
    # A resample that draws only prompts that ended at once has no mean.
    counts = counts[(counts @ tokens["pre"] > 0) & (counts @ tokens["post"] > 0)]
    _, n_layers, d_mlp = pre["mlp_post"].shape
    n_bins = len(ranks.points) - 1
    bins = np.searchsorted(ranks.points, table["rank"].to_numpy(), side="left") - 1
    bins = bins.reshape(n_layers, d_mlp)
    along = {stage: _components(table, stage).reshape(n_layers, d_mlp) for stage in caches}
    for layer in range(n_layers):
        means = {
            stage: (counts * tokens[stage])
            @ _sums_by_bin(cache["mlp_post"][:, layer], along[stage][layer], bins[layer], n_bins)
            / (counts @ tokens[stage])[:, None]
            for stage, cache in caches.items()
        }
        yield np.bincount(bins[layer], minlength=n_bins), means["pre"] - means["post"]


def _components(table: pd.DataFrame, stage: str) -> np.ndarray:
    activation = table[f"activation_{stage}"].to_numpy()
    projection = table[f"projection_{stage}"].to_numpy()
    return np.divide(projection, activation, out=np.zeros(len(table)), where=activation != 0)


def _sums_by_bin(
    activations: np.ndarray, along: np.ndarray, bins: np.ndarray, n_bins: int
) -> np.ndarray:
    """Sum projections, activations (n_prompts, d_mlp) × along (d_mlp,), by bin: (…, n_bins)."""
    order = np.argsort(bins, kind="stable")
    # Clipping spares the check of every index, four times the rest.
    ordered = np.take(activations, order, axis=1, mode="clip")
    projections = ordered * along[order].astype(np.float32)
    met, starts = np.unique(bins[order], return_index=True)
    sums = np.zeros((len(activations), n_bins))
    sums[:, met] = np.add.reduceat(projections, starts, axis=1)
    return sums


def with_intervals(
    by_layer: pd.DataFrame,
    drops: Iterator[tuple[np.ndarray, np.ndarray]],
    ranks: Ranks,
    falling: np.ndarray,
    level: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Put intervals beside the cancellation of each layer, and make the net curve with its band.

    by_layer: of tabulate_cancellation; drops: of resampled_drops; falling: the reductions in order
    of rank. Returns by_layer with …_low and …_high of its STATISTICS, NaN where nothing reduces,
    and the curve: neurons (how many of the first ranks), cumulative (their reductions' sum), low,
    high and mark (see Ranks), "" where there is none. Every neuron keeps its rank and its side.
    """
    bounds, every, neurons = [], np.zeros(()), np.zeros((), dtype=np.int64)
    for neurons_here, here in drops:
        bounds.append(_bounds(here, neurons_here, ranks.reducing_bins, level))
        every, neurons = every + here, neurons + neurons_here
    bounds.append(_bounds(every, neurons, ranks.reducing_bins, level))
    table = by_layer.join(pd.DataFrame(bounds))

    low, high = interval(_curve(every), level)
    sums = np.concatenate([[0.0], np.cumsum(falling, dtype=np.float64)])
    curve = pd.DataFrame(
        {"neurons": ranks.points, "cumulative": sums[ranks.points], "low": low, "high": high}
    )
    curve["mark"] = ""
    marked = [curve[curve["neurons"] == place].assign(mark=m) for m, place in ranks.marks.items()]
    unmarked = curve[~curve["neurons"].isin(ranks.marks.values())]
    curve = pd.concat([unmarked, *marked]).sort_values("neurons", kind="stable", ignore_index=True)
    return table, curve


def _curve(drops: np.ndarray) -> np.ndarray:
    """Sums over the first bins, (resamples, n_bins + 1), from none to all."""
    return np.concatenate([np.zeros((len(drops), 1)), np.cumsum(drops, axis=1)], axis=1)


def _bounds(
    drops: np.ndarray, neurons: np.ndarray, reducing_bins: int, level: float
) -> dict[str, float]:
    curve = _curve(drops)
    places = np.concatenate([[0], np.cumsum(neurons)])
    reducing, net = curve[:, reducing_bins], curve[:, -1]
    some = reducing > 0
    found = {"reducing": reducing, "raising": net - reducing, "net": net}
    found["cancelled"] = 1 - net[some] / reducing[some]
    rising = curve[some, : reducing_bins + 1]
    for name, share in SHARES.items():
        found[name] = _reached(rising, places[: reducing_bins + 1], share)
    ends = {}
    for name in STATISTICS:
        low, high = interval(found[name], level) if len(found[name]) else (np.nan, np.nan)
        ends[f"{name}_low"], ends[f"{name}_high"] = float(low), float(high)
    return ends


def _reached(curves: np.ndarray, places: np.ndarray, share: float) -> np.ndarray:
    """How many neurons it takes curves, (n, points), to a share of their last value: (n,)."""
    if curves.shape[1] < 2:
        return np.empty(0)
    wanted = share * curves[:, -1]
    after = np.argmax(curves >= wanted[:, None], axis=1)
    row = np.arange(len(curves))
    start, end = curves[row, after - 1], curves[row, after]
    way = (wanted - start) / (end - start)
    return np.ceil(places[after - 1] + way * (places[after] - places[after - 1]))
