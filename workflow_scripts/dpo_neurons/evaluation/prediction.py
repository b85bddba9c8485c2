"""Predicted and measured effects of interventions on toxicity."""

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


def comparable_rows(data: pd.DataFrame) -> pd.DataFrame:
    """Select the rows to correlate: finite, and not the reference."""
    finite = np.isfinite(data[["predicted", "measured"]]).all(axis=1)
    return data[finite & (data["intervention"] != REFERENCE)]


def correlate_effects(data: pd.DataFrame, resamples: int, level: float, seed: int) -> pd.DataFrame:
    """Correlate predicted with measured, by Pearson's and Spearman's coefficient.

    data: of `predict_effects`. Returns one row per coefficient, with the columns correlation,
    value, low, high (from a bootstrap over interventions) and interventions, the number of
    compared rows. value is NaN for fewer than three rows, or if predicted or measured is constant.
    """
    pairs = comparable_rows(data)[["predicted", "measured"]].to_numpy().T
    n = pairs.shape[1]
    random = np.random.default_rng(seed)
    drawn = random.integers(n, size=(resamples, n)) if n else np.empty((0, 0), dtype=np.int64)
    rows = []
    for name, transform in (("pearson", np.asarray), ("spearman", _ranks)):
        value = _correlation(transform(pairs))
        resampled = np.array([_correlation(transform(pairs[:, columns])) for columns in drawn])
        resampled = resampled[np.isfinite(resampled)]
        low, high = interval(resampled, level) if np.isfinite(value) else (np.nan, np.nan)
        rows.append([name, value, float(low), float(high), n])
    return pd.DataFrame(rows, columns=["correlation", "value", "low", "high", "interventions"])


def _correlation(pairs: np.ndarray) -> float:
    """Compute Pearson's correlation of two rows, (2, n)."""
    if pairs.shape[1] < 3:
        return float("nan")
    centred = pairs - pairs.mean(axis=1, keepdims=True)
    sizes = np.linalg.norm(centred, axis=1)
    # Centring a constant row leaves rounding errors, not zeros.
    if (sizes <= 1e-12 * np.linalg.norm(pairs, axis=1)).any():
        return float("nan")
    return float(centred[0] @ centred[1] / (sizes[0] * sizes[1]))


def _ranks(pairs: np.ndarray) -> np.ndarray:
    """Rank the values of each row, (2, n); ties get their mean rank."""
    ranks: np.ndarray = pd.DataFrame(pairs.T).rank().to_numpy()
    return ranks.T
