"""Trade-offs between neurons: what raising ones take back, and how few carry the effect."""

import numpy as np
import pandas as pd

from dpo_neurons.statistics.ranking import largest

SHARES = {"neurons_50": 0.5, "neurons_90": 0.9, "neurons_99": 0.99}
"""Column by column, the share of the reducing sum that so many neurons carry."""
ALL_LAYERS = "all"
STATISTICS = ("reducing", "raising", "net", "cancelled", *SHARES)
"""What has an interval; the Gini coefficient has none."""


def gini(sizes: np.ndarray) -> float:
    """Gini coefficient of sizes, (n,), none negative: 0 if all are equal, near 1 if one has all."""
    total = sizes.sum()
    if total == 0:
        return 0.0
    n = len(sizes)
    return float((2 * np.arange(1, n + 1) - n - 1) @ np.sort(sizes) / (n * total))


def count_carrying_neurons(falling: np.ndarray, share: float) -> int:
    """How many of the largest reductions, (n,) in falling order, hold a share of the positive sum.

    0 if nothing reduces.
    """
    positive = falling[falling > 0]
    if not len(positive):
        return 0
    held = np.cumsum(positive, dtype=np.float64)
    return int(np.searchsorted(held, share * held[-1])) + 1


def cancellation(reduction: np.ndarray) -> dict[str, float]:
    """What neurons of the given reductions, (n,), do together.

    neurons; reducing and raising, the sums of positive and of negative reductions; net; cancelled,
    the share of the reducing sum that raising neurons take back (above 1 where they take back
    more), NaN if nothing reduces; neurons_50, …, how many of the largest carry 50, 90 and 99 % of
    the reducing sum; gini, of the sizes of all reductions.
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
    """A row a layer and, last, one for all of them: layer, then what `cancellation` gives."""
    rows = [
        {"layer": str(layer), **cancellation(reduction.to_numpy())}
        for layer, reduction in table.groupby("layer")["reduction"]
    ]
    rows.append({"layer": ALL_LAYERS, **cancellation(table["reduction"].to_numpy())})
    return pd.DataFrame(rows)


def strongest_neurons(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """The neurons that cancel: each layer's `count` strongest reducing and raising ones.

    Columns: layer, side, place (1 = strongest), neuron, group, reduction, and share of what the
    layer's neurons of that side do together.
    """
    reduction = table["reduction"].to_numpy()
    size, reduces = np.abs(reduction), reduction > 0
    whole = pd.Series(size).groupby([table["layer"].to_numpy(), reduces]).sum()
    parts = [table[:0].assign(side="", place=0, share=0.0)]
    for layer, places in table.groupby("layer").indices.items():
        for side, of_side in (("reducing", reduces), ("raising", reduction < 0)):
            places_here = places[of_side[places]]
            chosen = places_here[largest(size[places_here], count)]
            rows = table.iloc[chosen].assign(side=side, place=np.arange(1, len(chosen) + 1))
            if len(chosen):
                rows["share"] = size[chosen] / whole[layer, side == "reducing"]
                parts.append(rows)
    columns = ["layer", "side", "place", "neuron", "group", "reduction", "share"]
    return pd.concat(parts, ignore_index=True)[columns]
