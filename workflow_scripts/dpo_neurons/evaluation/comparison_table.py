"""The table of paired tests: one row for each comparison of two interventions."""

import numpy as np
import pandas as pd

from dpo_neurons.evaluation.intervention_table import (
    AFTER,
    BEFORE,
    NO_LONGER_WRITES,
    Bootstrap,
    format_intervals,
)
from dpo_neurons.evaluation.outcomes import Outcomes
from dpo_neurons.statistics.bootstrap import mean_intervals
from dpo_neurons.statistics.paired_tests import (
    correct_by_holm,
    sign_flip_p_values,
    smallest_p_value,
)

SIGNIFICANT = 0.05
"""Level at which a comparison counts as significant."""
METRICS = {"toxicity": 3, "log_perplexity": 4}
"""The compared metrics, with their decimals in the readable table."""
COLUMNS = (
    "intervention",
    "against",
    "family",
    "no_longer_writes",
    *(
        f"{metric}_{what}"
        for metric in METRICS
        for what in ("difference", "difference_low", "difference_high", "p", "p_holm")
    ),
)
FINE_TUNING = "dpo against none"
AGAINST_NONE = "rows against none"
AGAINST_DPO = "rows against dpo"
AGAINST_CONTROLS = "rows against controls"
"""The families of comparisons: each is one question, and is corrected for its own number."""


def list_comparisons(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """List the pairs to compare: each row with none, with dpo, and with its control.

    rows: one row for each intervention, with the METADATA columns.
    """
    controls = find_controls(rows)
    pairs = []
    for name in rows["intervention"]:
        for against in (BEFORE, AFTER, controls.get(name)):
            if against is not None and name not in (BEFORE, against):
                pairs.append((name, against))
    return pairs


def name_family(intervention: str, against: str) -> str:
    """Name the family that a comparison belongs to, and is corrected in."""
    if against == BEFORE:
        return FINE_TUNING if intervention == AFTER else AGAINST_NONE
    return AGAINST_DPO if against == AFTER else AGAINST_CONTROLS


def find_controls(rows: pd.DataFrame) -> dict[str, str]:
    """Find the control of each row that has one, by name.

    A control of a patch names its patch in `control_of`. The control of an edit is the edit with
    α = 0 of the same neurons, form and direction: it assigns them their unedited values.
    """
    controls = {row.control_of: row.intervention for row in rows.itertuples() if row.control_of}
    edits = rows[rows["kind"] == "edit"]
    # As texts: what a row does not have is NaN in some tables, and NaN equals nothing.
    alike = edits[["form", "direction", "groups", "beta", "without_most_active"]].astype(str)
    edited = dict(zip(edits["intervention"], alike.itertuples(index=False), strict=True))
    unedited = {edited[name]: name for name in edits.loc[edits["alpha"] == 0, "intervention"][::-1]}
    for name in edits.loc[edits["alpha"] != 0, "intervention"]:
        if edited[name] in unedited:
            controls[name] = unedited[edited[name]]
    return controls


def comparison_table(outcomes: Outcomes, rows: pd.DataFrame, bootstrap: Bootstrap) -> pd.DataFrame:
    """Tabulate paired tests of interventions: the COLUMNS, in the order of `rows`.

    rows: one row for each intervention, with the METADATA columns and no_longer_writes.
    A difference is the mean of `intervention` minus the mean of `against`. Toxicity is paired by
    prompt. Log-perplexity, in nats a token, is paired by window, and windows are weighted by their
    tokens. Intervals resample the pairs, and p-values flip the pairs' signs. p_holm corrects for
    all comparisons of one family and metric that have a p-value. The toxicity of a model that no
    longer writes is not tested.
    """
    pairs = list_comparisons(rows)
    names, against = zip(*pairs, strict=True)
    first, second = (list(map(outcomes.column, rows_of)) for rows_of in (names, against))
    toxicity = outcomes.toxicity[:, first] - outcomes.toxicity[:, second]
    losses = outcomes.window_losses[:, first] - outcomes.window_losses[:, second]
    tokens = outcomes.window_tokens
    is_broken = rows.set_index("intervention")["no_longer_writes"]
    broken = (is_broken[list(names)].to_numpy() | is_broken[list(against)].to_numpy()).astype(bool)
    families = np.array([name_family(*pair) for pair in pairs])
    table: dict[str, object] = {
        "intervention": names, "against": against, "family": families, "no_longer_writes": broken
    }  # fmt: skip
    equal = np.ones(len(toxicity))
    table |= _test_metric("toxicity", toxicity, equal, families, bootstrap, ~broken)
    table |= _test_metric("log_perplexity", losses / tokens[:, None], tokens, families, bootstrap)
    return pd.DataFrame(table)[list(COLUMNS)]


def _test_metric(
    metric: str,
    differences: np.ndarray,
    weights: np.ndarray,
    families: np.ndarray,
    bootstrap: Bootstrap,
    testable: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Return the columns of one metric, from paired differences, (n, k), and weights, (n,).

    families: (k,) names; p-values are corrected within each.
    testable: (k,) bool, the comparisons that get a p-value; None for all.
    """
    how = (bootstrap.resamples, bootstrap.level, bootstrap.seed)
    mean, low, high = mean_intervals(differences, *how, weights)
    p_values = sign_flip_p_values(differences * weights[:, None], bootstrap.seed)
    if testable is not None:
        p_values = np.where(testable, p_values, np.nan)
    corrected = np.full(len(p_values), np.nan)
    for family in np.unique(families):
        corrected[families == family] = correct_by_holm(p_values[families == family])
    columns = {
        "difference": mean,
        "difference_low": low,
        "difference_high": high,
        "p": p_values,
        "p_holm": corrected,
    }
    return {f"{metric}_{what}": values for what, values in columns.items()}


def describe_few_pairs(table: pd.DataFrame, outcomes: Outcomes) -> str:
    """Say so if prompts or windows are too few for a family to have a significant comparison.

    The largest family decides. Returns "" if they are enough.
    """
    n_pairs = {"toxicity": len(outcomes.toxicity), "log_perplexity": len(outcomes.window_losses)}
    parts = []
    for metric, texts in (("toxicity", "challenge_prompts"), ("log_perplexity", "perplexity_text")):
        tested = table.loc[table[f"{metric}_p"].notna(), "family"]
        n, n_tests = n_pairs[metric], int(tested.value_counts().max()) if len(tested) else 0
        smallest = smallest_p_value(n)
        if smallest * n_tests > SIGNIFICANT:
            parts.append(
                f"{n} pairs of {metric.replace('_', '-')} allow no p below {smallest:.2g}, and "
                f"none below {min(smallest * n_tests, 1):.2g} after Holm's correction for "
                f"{n_tests} tests of one family, however large the difference; give more {texts}"
            )
    return ". ".join(parts)


def format_comparisons(table: pd.DataFrame) -> pd.DataFrame:
    """Format the table for reading: rounded, with intervals in brackets."""
    shown = table[["intervention", "against"]].copy()
    for metric, digits in METRICS.items():
        name = metric.replace("_", "-")
        shown[f"{name} difference"] = format_intervals(table, f"{metric}_difference", digits)
        shown[f"{name} p"] = table[f"{metric}_p"].map(_format_p_value)
        shown[f"{name} p (Holm)"] = table[f"{metric}_p_holm"].map(_format_p_value)
    shown["note"] = np.where(table["no_longer_writes"], NO_LONGER_WRITES, "")
    return shown


def _format_p_value(p_value: float) -> str:
    return f"{p_value:.4f}" if np.isfinite(p_value) else "not tested"
