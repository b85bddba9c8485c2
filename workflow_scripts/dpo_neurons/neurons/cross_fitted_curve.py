"""Cancellation, concentration and net curve of neurons that other prompts ranked.

For each fold of prompts, neurons are ranked by their reduction on all other folds and summed on
this one, in bins of neighbouring ranks. A bin is the same part of the reducing, or of the other,
neurons for every fold.
"""

from dataclasses import dataclass

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.neurons.cancellation import SHARES, count_until_share
from dpo_neurons.neurons.cross_fitted_sums import Choose, cross_fit_layers, read_components
from dpo_neurons.statistics.bootstrap import ENDS, resampled_counts
from dpo_neurons.statistics.cross_fitting import CrossFit, assign_folds, widened_interval

STATISTICS = ("reducing", "raising", "cancelled", *SHARES)
"""What is cross-fitted of each layer; the net sum needs no choice."""


def choose_bins(table: pd.DataFrame, points: np.ndarray, reducing_bins: int) -> Choose:
    """Sort neurons into bins of neighbouring ranks, by activations alone.

    table: contributions. points: (n_bins + 1,), from 0 to all neurons, how many of the first ranks
    lie before each bin where neurons have the reductions of the table. reducing_bins: how many bins
    hold its positive reductions. With other reductions, bins divide the positive ones, and the
    others, in the same proportions.
    """
    components = read_components(table)
    peak, n_neurons = int(points[reducing_bins]), int(points[-1])
    reducing = points[:reducing_bins] / max(peak, 1)
    others = (points[reducing_bins:] - peak) / max(n_neurons - peak, 1)

    def choose(activation_pre: np.ndarray, activation_post: np.ndarray) -> np.ndarray:
        rising = activation_post * components["post"] - activation_pre * components["pre"]
        order = np.append(np.sort(rising), np.float32(np.inf))
        n_reducing = int(np.searchsorted(order, 0.0))
        starts = np.concatenate(
            [reducing * n_reducing, n_reducing + others[:-1] * (n_neurons - n_reducing)]
        )
        first = order[starts[1:].round().astype(np.int64)]
        bins: np.ndarray = np.searchsorted(first, rising, side="right")
        return bins

    return choose


@dataclass(frozen=True)
class Curve:
    """Sums over the first bins of ranks, and their resamples."""

    neurons: np.ndarray
    """(n_bins + 1,), from 0: how many neurons lie before each bin, a mean over folds."""
    fit: CrossFit
    """Of the n_bins + 1 sums."""
    resampled: np.ndarray
    """(resamples, n_bins + 1)"""
    reducing_bins: int

    def describe(self, level: float) -> dict[str, float]:
        """The STATISTICS with the ends of their intervals, …_low and …_high.

        All but the sums are NaN unless the interval of the reducing sum lies above zero.
        """
        estimate, peak = self.fit.estimate, self.reducing_bins
        contrasts = np.zeros((len(estimate), 2))
        contrasts[peak] = 1, -1
        contrasts[-1] += 0, 1
        sums = self.fit.combine(contrasts)
        reducing, raising = sums.estimate
        low, high = widened_interval(
            self.resampled @ contrasts, sums.estimate, sums.error_ratio(level), level
        )
        described = dict.fromkeys((f"{name}{end}" for name in STATISTICS for end in ENDS), np.nan)
        described |= {"reducing": reducing, "reducing_low": low[0], "reducing_high": high[0]}
        described |= {"raising": raising, "raising_low": low[1], "raising_high": high[1]}
        if not low[0] > 0:
            return described
        defined = self.resampled[self.resampled[:, peak] > 0]
        cancelled = 1 - estimate[-1] / reducing
        ratio = sums.combine(np.array([[cancelled], [1.0]])).error_ratio(level)
        described |= _triple(
            "cancelled", cancelled, 1 - defined[:, -1] / defined[:, peak], ratio, level
        )
        points = self.neurons[: peak + 1]
        for name, share in SHARES.items():
            count, place = count_until_share(estimate[None, : peak + 1], points, share)
            counts, _ = count_until_share(defined[:, : peak + 1], points, share)
            contrast = np.zeros((len(estimate), 1))
            contrast[place[0]] = 1
            contrast[peak] -= share
            ratio = self.fit.combine(contrast).error_ratio(level)
            described |= _triple(name, count[0], counts, ratio, level)
            for end in ENDS:
                described[f"{name}{end}"] = np.ceil(
                    np.clip(described[f"{name}{end}"], 0, points[-1])
                )
        return described

    def tabulate(self, level: float) -> pd.DataFrame:
        """The curve: crossfitted_neurons, crossfitted, and the ends of its interval."""
        low, high = widened_interval(
            self.resampled, self.fit.estimate, self.fit.error_ratio(level), level
        )
        return pd.DataFrame(
            {
                "crossfitted_neurons": self.neurons,
                "crossfitted": self.fit.estimate,
                "crossfitted_low": low,
                "crossfitted_high": high,
            }
        )


def _triple(
    name: str, value: float, resampled: np.ndarray, error_ratio: np.ndarray, level: float
) -> dict[str, float]:
    low, high = widened_interval(resampled, np.array(value), error_ratio[0], level)
    return {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}


def _accumulate(values: np.ndarray) -> np.ndarray:
    """Sums over the first entries of the last axis, from none to all."""
    nothing = np.zeros((*values.shape[:-1], 1), dtype=values.dtype)
    return np.concatenate([nothing, np.cumsum(values, axis=-1)], axis=-1)


def cross_fit_curve(
    table: pd.DataFrame,
    pre: h5py.File,
    post: h5py.File,
    points: np.ndarray,
    reducing_bins: int,
    resamples: int,
    level: float,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cross-fit the cancellation of each layer, and the net curve, both with intervals.

    table: contributions; pre and post: the caches of both checkpoints. points, reducing_bins: of
    `choose_bins`.
    Returns a row a layer, then one for all, with columns crossfitted_ and the STATISTICS and their
    ends; and the curve, a row a point.
    """
    folds = assign_folds(len(pre["mask"]), seed)
    counts = resampled_counts(len(folds), resamples, seed).astype(np.float32)
    n_bins = len(points) - 1
    choose = choose_bins(table, points, reducing_bins)
    rows: list[dict[str, float]] = []
    whole: tuple[np.ndarray, ...] = ()
    for sizes, fit in cross_fit_layers(table, pre, post, folds, choose, n_bins):
        resampled = counts @ (fit.values / len(folds)).astype(np.float32)
        layer = (sizes, fit.values, fit.shifts, resampled.astype(np.float64))
        rows.append(_add_bins(layer, reducing_bins).describe(level))
        whole = tuple(map(np.add, whole, layer)) if whole else layer
    curve = _add_bins(whole, reducing_bins)
    rows.append(curve.describe(level))
    return pd.DataFrame(rows).add_prefix("crossfitted_"), curve.tabulate(level)


def _add_bins(bins: tuple[np.ndarray, ...], reducing_bins: int) -> Curve:
    """Add up bins: their sizes, values, shifts and resamples, the last axis of each of n_bins."""
    sizes, values, shifts, resampled = map(_accumulate, bins)
    return Curve(sizes, CrossFit(values, shifts), resampled, reducing_bins)
