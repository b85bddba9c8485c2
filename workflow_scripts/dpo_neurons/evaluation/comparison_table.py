"""The table of paired tests: a row a comparison of two interventions."""

import numpy as np
import pandas as pd

from dpo_neurons.evaluation.intervention_table import AFTER, BEFORE, Bootstrap, with_interval
from dpo_neurons.evaluation.outcomes import Outcomes
from dpo_neurons.statistics.bootstrap import mean_intervals
from dpo_neurons.statistics.paired_tests import holm, sign_flip_p_values

METRICS = {"toxicity": 3, "log_perplexity": 4}
"""What is compared, and its decimals in the readable table."""
COLUMNS = (
    "intervention",
    "against",
    *(
        f"{metric}_{what}"
        for metric in METRICS
        for what in ("difference", "difference_low", "difference_high", "p", "p_holm")
    ),
)


def list_comparisons(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """List what is compared with what: each row with none, with dpo, and with its control.

    rows: METADATA, a row an intervention.
    """
    controls = find_controls(rows)
    pairs = []
    for name in rows["intervention"]:
        for against in (BEFORE, AFTER, controls.get(name)):
            if against is not None and name not in (BEFORE, against):
                pairs.append((name, against))
    return pairs


def find_controls(rows: pd.DataFrame) -> dict[str, str]:
    """Find the control of each row that has one, by name.

    That of a patch is the row that says so. That of an edit is the edit of the same form, direction
    and β with α = 0, which changes the same neurons by nothing.
    """
    controls = {row.control_of: row.intervention for row in rows.itertuples() if row.control_of}
    edits = rows[rows["kind"] == "edit"]
    alike = ["form", "direction", "beta"]
    unpushed = edits[edits["alpha"] == 0].drop_duplicates(alike).set_index(alike)["intervention"]
    for edit in edits[edits["alpha"] != 0].itertuples():
        key = (edit.form, edit.direction, edit.beta)
        if key in unpushed.index:
            controls[edit.intervention] = unpushed[key]
    return controls


def comparison_table(outcomes: Outcomes, rows: pd.DataFrame, bootstrap: Bootstrap) -> pd.DataFrame:
    """Test interventions against each other: COLUMNS, in the order of `rows` (METADATA).

    A difference is the mean of the row's value minus that of what it is held against. Toxicity is
    paired by prompt. Log-perplexity, in nats a token, is paired by window, and a window weighs by
    its tokens. Intervals resample the pairs; p-values flip their signs; p_holm corrects for all
    comparisons of the table on one metric.
    """
    pairs = list_comparisons(rows)
    one, other = (list(map(outcomes.column, names)) for names in zip(*pairs, strict=True))
    drops = outcomes.toxicity[:, one] - outcomes.toxicity[:, other]
    losses = outcomes.window_losses[:, one] - outcomes.window_losses[:, other]
    tokens = outcomes.window_tokens
    names, against = zip(*pairs, strict=True)
    table: dict[str, object] = {"intervention": names, "against": against}
    table |= _test_metric("toxicity", drops, np.ones(len(drops)), bootstrap)
    table |= _test_metric("log_perplexity", losses / tokens[:, None], tokens, bootstrap)
    return pd.DataFrame(table)[list(COLUMNS)]


def _test_metric(
    metric: str, differences: np.ndarray, weights: np.ndarray, bootstrap: Bootstrap
) -> dict[str, np.ndarray]:
    """Columns of one metric from weighted paired differences, (n, k)."""
    how = (bootstrap.resamples, bootstrap.level, bootstrap.seed)
    mean, low, high = mean_intervals(differences, *how, weights)
    p_values = sign_flip_p_values(differences * weights[:, None], bootstrap.seed)
    columns = {
        "difference": mean,
        "difference_low": low,
        "difference_high": high,
        "p": p_values,
        "p_holm": holm(p_values),
    }
    return {f"{metric}_{what}": values for what, values in columns.items()}


def format_comparisons(table: pd.DataFrame) -> pd.DataFrame:
    """The table for reading: rounded, intervals in brackets behind their differences."""
    shown = table[["intervention", "against"]].copy()
    for metric, digits in METRICS.items():
        name = metric.replace("_", "-")
        ends = ("difference", "difference_low", "difference_high")
        triples = table[[f"{metric}_{end}" for end in ends]].to_numpy(dtype=np.float64)
        shown[f"{name} difference"] = [
            with_interval(value, low, high, digits) for value, low, high in triples
        ]
        shown[f"{name} p"] = table[f"{metric}_p"].map("{:.4f}".format)
        shown[f"{name} p (Holm)"] = table[f"{metric}_p_holm"].map("{:.4f}".format)
    return shown
