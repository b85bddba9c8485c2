"""Does projection predict toxicity? What plans should do along a direction, and what they did."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from dpo_neurons.interventions.direct_effect import predict_reduction
from dpo_neurons.statistics.bootstrap import interval, resampled_sums

REFERENCE = "none"
"""The row against which a change in toxicity is measured."""
LEAST_ROWS = 10
"""Interventions that a correlation needs."""
ROUNDING = 1e-9
"""Predictions below this part of the largest one are zero by construction."""
DESCRIPTION = ("intervention", "kind", "control_of", "checkpoint", "neurons")


def predict_effects(
    table: pd.DataFrame,
    plans: Mapping[str, pd.DataFrame],
    contributions: pd.DataFrame,
    along: np.ndarray,
) -> pd.DataFrame:
    """Predicted and measured effect of every intervention that has a plan, in the table's order.

    table: a row an intervention, as in the table file. Returns its DESCRIPTION columns,
    predicted (reduction along the direction; that of the contributions for the second checkpoint as
    it is; NaN if a plan changes the second checkpoint or scales keys) and measured, the mean
    toxicity without intervention minus that under it, with measured_low and measured_high from the
    interval of the latter. Raises ValueError if the table has no row without intervention.
    """
    rows = table[table["intervention"].isin(plans)]
    without = table.loc[table["intervention"] == REFERENCE, "toxicity"]
    if without.empty:
        raise ValueError(f"the table has no row {REFERENCE!r}")
    predicted = [
        _predict_row(row.kind, row.checkpoint, plans[row.intervention], contributions, along)
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
) -> float:
    """Predict one row: a control takes the first model's own activations, a patch the second's."""
    if checkpoint == "pre":
        return predict_reduction(plan, contributions, along, "pre" if kind == "control" else "post")
    return float(contributions["reduction"].sum()) if plan.empty else float("nan")


def comparable_rows(data: pd.DataFrame) -> pd.DataFrame:
    """The rows that a correlation is of: predicted and measured, neither of them by construction.

    Left out are rows that predict zero but for rounding, as controls and the reference do.
    """
    finite = np.isfinite(data[["predicted", "measured"]]).all(axis=1)
    sizes = data["predicted"].abs()
    return data[finite & (sizes > ROUNDING * sizes.max()) & (data["intervention"] != REFERENCE)]


def correlate_effects(
    data: pd.DataFrame, toxicity: pd.DataFrame, resamples: int, level: float, seed: int
) -> pd.DataFrame:
    """Spearman's rank correlation of predicted with measured, in one row.

    data: of `predict_effects`. toxicity: (n_prompts), a column each of the reference and the
    comparable rows. Returns correlation ("spearman"), value, low, high and interventions, how many
    are compared. Ranks keep one row far from all others from deciding alone.

    The interval resamples prompts and holds the interventions fixed: they share neurons and were
    chosen, not drawn. All is NaN for fewer than LEAST_ROWS rows or where one quantity is constant.
    """
    rows = comparable_rows(data)
    predicted, n = rows["predicted"].to_numpy(), len(rows)
    value, ends = np.nan, (np.nan, np.nan)
    if n >= LEAST_ROWS:
        value = _correlate_ranks(predicted, rows["measured"].to_numpy()[None])[0]
    if np.isfinite(value):
        falls = toxicity[REFERENCE].to_numpy()[:, None] - toxicity[rows["intervention"]].to_numpy()
        resampled = _correlate_ranks(predicted, resampled_sums(falls, resamples, seed))
        low, high = interval(resampled[np.isfinite(resampled)], level)
        ends = float(low), float(high)
    return pd.DataFrame(
        {
            "correlation": ["spearman"],
            "value": [float(value)],
            "low": [ends[0]],
            "high": [ends[1]],
            "interventions": [n],
        }
    )


def _correlate_ranks(predicted: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Spearman's correlation of (n,) with each row of (k, n): (k,), NaN where one is constant.

    Ties share their mean rank.
    """
    first, second = rankdata(predicted)[None], rankdata(measured, axis=1)
    first, second = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (first, second))
    sizes = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    correlations: np.ndarray = np.divide(
        (first * second).sum(axis=1), sizes, out=np.full(len(measured), np.nan), where=sizes > 0
    )
    return correlations
