"""What raising neurons take back, and how few neurons carry the effect.

Neurons are reducing or raising by the sign of the reduction that is then summed: they are chosen
and summed on the same prompts, and not corrected for that selection. Net sums are not selected.
"""

import numpy as np
import pandas as pd

from dpo_neurons.statistics.ranking import largest_indices

SHARES = {"neurons_50": 0.5, "neurons_90": 0.9, "neurons_99": 0.99}
"""For each column that counts neurons, the share of the reducing sum that they carry."""
ALL_LAYERS = "all"
STATISTICS = ("reducing", "raising", "net", "cancelled", *SHARES)
"""Columns that have an interval; the Gini coefficient has none."""


def gini(sizes: np.ndarray) -> float:
    """Gini coefficient of sizes, (n,), none of them negative.

    It is 0 if all are equal and near 1 if one has all.
    """
    total = sizes.sum()
    if total == 0:
        return 0.0
    n = len(sizes)
    return float((2 * np.arange(1, n + 1) - n - 1) @ np.sort(sizes) / (n * total))


def count_carrying_neurons(falling: np.ndarray, share: float) -> int:
    """Count the fewest neurons that carry a share of the sum of positive reductions.

    falling: (n_neurons,), reductions in falling order.
    Neurons are chosen and summed on the same prompts, and not corrected for that selection.
    Returns 0 if nothing reduces.
    """
    positive = falling[falling > 0]
    if not len(positive):
        return 0
    carried = np.cumsum(positive, dtype=np.float64)
    return int(np.searchsorted(carried, share * carried[-1])) + 1


def count_until_share(
    curves: np.ndarray, points: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Count the neurons that it takes each curve to reach a share of its last value.

    curves: (n, n_points), sums at `points`, (n_points,) numbers of neurons, the last one positive;
    straight between them. Returns the counts, (n,), fractions among them, and the first point at or
    after each. Where there is but one point, nothing is returned.
    """
    if curves.shape[1] < 2:
        return np.empty(0), np.empty(0, dtype=np.int64)
    aims = share * curves[:, -1]
    after = np.argmax(curves >= aims[:, None], axis=1)
    row = np.arange(len(curves))
    start, end = curves[row, after - 1], curves[row, after]
    way = (aims - start) / (end - start)
    return points[after - 1] + way * (points[after] - points[after - 1]), after


def measure_cancellation(reduction: np.ndarray) -> dict[str, float]:
    """Measure what neurons of the given reductions, (n_neurons,), do together.

    neurons: how many they are. reducing, raising: sums of the positive and of the negative
    reductions; the neurons are chosen and summed on the same prompts, and not corrected for that
    selection. net: sum of both. cancelled: share of the reducing sum that raising neurons take
    back, above 1 where they take back more, NaN if nothing reduces. neurons_50, neurons_90,
    neurons_99: how many of the largest reductions carry that percentage of the reducing sum.
    gini: Gini coefficient of the sizes of all reductions.
    """
    falling = -np.sort(-reduction)
    reducing, raising = float(falling[falling > 0].sum()), float(falling[falling < 0].sum())
    return {
        "neurons": len(reduction),
        "reducing": reducing,
        "raising": raising,
        "net": reducing + raising,
        "cancelled": -raising / reducing if reducing else np.nan,
        **{name: count_carrying_neurons(falling, share) for name, share in SHARES.items()},
        "gini": gini(np.abs(reduction)),
    }


def tabulate_cancellation(table: pd.DataFrame) -> pd.DataFrame:
    """Tabulate `measure_cancellation`: one row per layer, then one for all layers.

    table: contributions. The column layer holds texts, "all" in the last row.
    """
    rows = [
        {"layer": str(layer), **measure_cancellation(reduction.to_numpy())}
        for layer, reduction in table.groupby("layer")["reduction"]
    ]
    rows.append({"layer": ALL_LAYERS, **measure_cancellation(table["reduction"].to_numpy())})
    return pd.DataFrame(rows)


def strongest_neurons(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """List each layer's `count` strongest reducing and raising neurons.

    Returns layer, side (reducing, raising), place (1 = strongest), neuron, group, reduction, and
    share: of the summed reductions of the layer's neurons of that side.
    """
    reduction = table["reduction"].to_numpy()
    size, reduces = np.abs(reduction), reduction > 0
    sums = pd.Series(size).groupby([table["layer"].to_numpy(), reduces]).sum()
    parts = [table[:0].assign(side="", place=0, share=0.0)]
    for layer, neurons in table.groupby("layer").indices.items():
        for side, of_side in (("reducing", reduces), ("raising", reduction < 0)):
            candidates = neurons[of_side[neurons]]
            chosen = candidates[largest_indices(size[candidates], count)]
            rows = table.iloc[chosen].assign(side=side, place=np.arange(1, len(chosen) + 1))
            if len(chosen):
                rows["share"] = size[chosen] / sums[layer, side == "reducing"]
                parts.append(rows)
    columns = ["layer", "side", "place", "neuron", "group", "reduction", "share"]
    return pd.concat(parts, ignore_index=True)[columns]
