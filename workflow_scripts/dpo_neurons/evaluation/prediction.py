"""Does projection predict toxicity? What plans should do along a direction, and what they did."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from dpo_neurons.interventions.direct_effect import predict_reduction
from dpo_neurons.statistics.bootstrap import interval

REFERENCE = "none"
"""The row against which a change in toxicity is measured."""
DESCRIPTION = ("intervention", "kind", "control_of", "checkpoint", "neurons")


def predict_effects(
    table: pd.DataFrame,
    plans: Mapping[str, pd.DataFrame],
    contributions: pd.DataFrame,
    along: np.ndarray,
    norm_after_mlp: bool = False,
) -> pd.DataFrame:
    """Predicted and measured effect of every intervention that has a plan, in the table's order.

    table: a row an intervention, as in the table file. Returns its DESCRIPTION columns,
    predicted (reduction along the direction; that of the contributions for the second checkpoint as
    it is; NaN if a plan changes the second checkpoint, scales keys, or steers behind a norm) and
    measured, the mean toxicity without intervention minus that under it, with measured_low and
    measured_high from the interval of the latter.
    Raises ValueError if the table has no row without intervention.
    """
    rows = table[table["intervention"].isin(plans)]
    without = table.loc[table["intervention"] == REFERENCE, "toxicity"]
    if without.empty:
        raise ValueError(f"the table has no row {REFERENCE!r}")
    predicted = [
        _predict_row(
            row.kind, row.checkpoint, plans[row.intervention], contributions, along, norm_after_mlp
        )
        for row in rows.itertuples()
    ]
    return pd.DataFrame(
        {
            **{column: rows[column] for column in DESCRIPTION},
            "predicted": predicted,
            "measured": without.iloc[0] - rows["toxicity"],
            "measured_low": without.iloc[0] - rows["toxicity_high"],
            "measured_high": without.iloc[0] - rows["toxicity_low"],
        }
    ).reset_index(drop=True)


def _predict_row(
    kind: str,
    checkpoint: str,
    plan: pd.DataFrame,
    contributions: pd.DataFrame,
    along: np.ndarray,
    norm_after_mlp: bool,
) -> float:
    """Predict one row: a control takes the first model's own activations, a patch the second's."""
    if checkpoint == "pre":
        source = "pre" if kind == "control" else "post"
        return predict_reduction(plan, contributions, along, source, norm_after_mlp)
    return float(contributions["reduction"].sum()) if plan.empty else float("nan")


def comparable_rows(data: pd.DataFrame) -> pd.DataFrame:
    """The rows that a correlation is of: predicted and measured, the reference itself left out."""
    finite = np.isfinite(data[["predicted", "measured"]]).all(axis=1)
    return data[finite & (data["intervention"] != REFERENCE)]


def correlate_effects(data: pd.DataFrame, resamples: int, level: float, seed: int) -> pd.DataFrame:
    """Pearson's and Spearman's correlation of predicted with measured, a row each.

    data: of `predict_effects`. Returns correlation, value, low, high (bootstrap over interventions)
    and interventions, how many are compared. NaN where there are fewer than three, or one is
    constant.
    """
    pairs = comparable_rows(data)[["predicted", "measured"]].to_numpy().T
    n = pairs.shape[1]
    random = np.random.default_rng(seed)
    drawn = random.integers(n, size=(resamples, n)) if n else np.empty((0, 0), dtype=np.int64)
    rows = []
    for name, transform in (("pearson", np.asarray), ("spearman", _ranks)):
        value = _correlation(transform(pairs))
        resampled = np.array([_correlation(transform(pairs[:, these])) for these in drawn])
        resampled = resampled[np.isfinite(resampled)]
        low, high = interval(resampled, level) if np.isfinite(value) else (np.nan, np.nan)
        rows.append([name, value, float(low), float(high), n])
    return pd.DataFrame(rows, columns=["correlation", "value", "low", "high", "interventions"])


def _correlation(pairs: np.ndarray) -> float:
    """Pearson's correlation of two rows, (2, n)."""
    if pairs.shape[1] < 3:
        return float("nan")
    centred = pairs - pairs.mean(axis=1, keepdims=True)
    sizes = np.linalg.norm(centred, axis=1)
    # A constant row leaves rounding errors, not zeros.
    if (sizes <= 1e-12 * np.linalg.norm(pairs, axis=1)).any():
        return float("nan")
    return float(centred[0] @ centred[1] / (sizes[0] * sizes[1]))


def _ranks(pairs: np.ndarray) -> np.ndarray:
    """Ranks within each row, (2, n), ties sharing their mean."""
    ranks: np.ndarray = pd.DataFrame(pairs.T).rank().to_numpy()
    return ranks.T
