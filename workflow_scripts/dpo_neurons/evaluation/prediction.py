"""Predicted and measured effects of interventions on toxicity."""

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
    norm_after_mlp: bool = False,
) -> pd.DataFrame:
    """Predict the effect of every intervention with a plan.

    table: one row for each intervention, as in the table file. Returns, in the table's order, its
    DESCRIPTION columns and:
    predicted, the reduction along the direction. For the unchanged second checkpoint it is the sum
    of the contributions. It is NaN if a plan changes the second checkpoint,
    scales keys or steers behind a norm.
    measured, the mean toxicity of the row none minus that of the intervention, NaN if the model no
    longer writes. measured_low and measured_high come from the interval of the intervention's mean.
    Raises ValueError if the table has no row none.
    """
    rows = table[table["intervention"].isin(plans)]
    reference = table.loc[table["intervention"] == REFERENCE, "toxicity"]
    if reference.empty:
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
            "measured": (reference.iloc[0] - rows["toxicity"]).where(~rows["no_longer_writes"]),
            "measured_low": reference.iloc[0] - rows["toxicity_high"],
            "measured_high": reference.iloc[0] - rows["toxicity_low"],
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
    """Predict one row; a control assigns the first model's activations."""
    if checkpoint == "pre":
        source = "pre" if kind == "control" else "post"
        return predict_reduction(plan, contributions, along, source, norm_after_mlp)
    return float(contributions["reduction"].sum()) if plan.empty else float("nan")


def comparable_rows(effects: pd.DataFrame) -> pd.DataFrame:
    """The rows that a correlation is of: predicted and measured, neither of them by construction.

    Left out are rows that predict zero but for rounding, as controls and the reference do.
    """
    finite = np.isfinite(effects[["predicted", "measured"]]).all(axis=1)
    sizes = effects["predicted"].abs()
    compared = finite & (sizes > ROUNDING * sizes.max())
    return effects[compared & (effects["intervention"] != REFERENCE)]


def correlate_effects(
    effects: pd.DataFrame, toxicity: pd.DataFrame, resamples: int, level: float, seed: int
) -> pd.DataFrame:
    """Spearman's rank correlation of predicted with measured, in one row.

    effects: of `predict_effects`. toxicity: (n_prompts), a column each of the reference and the
    comparable rows. Returns correlation ("spearman"), value, low, high and interventions, how many
    are compared. Ranks keep one row far from all others from deciding alone.

    The interval resamples prompts and holds the interventions fixed: they share neurons and were
    chosen, not drawn. All is NaN for fewer than LEAST_ROWS rows or where one quantity is constant.
    """
    rows = comparable_rows(effects)
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
