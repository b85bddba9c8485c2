"""The table of paired tests: a row a comparison of two interventions."""

import re
from collections.abc import Sequence

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


def comparisons(interventions: Sequence[str]) -> list[tuple[str, str]]:
    """What is compared with what: each row with none, with dpo, and with its control if it has one.

    The control of an edit is the row of the same β and α = 0.
    """
    pairs = []
    for name in interventions:
        for against in (BEFORE, AFTER, _control_of(name)):
            if against in interventions and name not in (BEFORE, against):
                pairs.append((name, against))
    return pairs


def _control_of(name: str) -> str:
    if name.startswith("edit_"):
        return re.sub(r"_a[^_]+(_b[^_]+)$", r"_a0\1", name)
    return f"control_{name.removeprefix('patch_')}"


def comparison_table(outcomes: Outcomes, bootstrap: Bootstrap) -> pd.DataFrame:
    """The table of tests, COLUMNS, in the order of the interventions.

    A difference is the mean of the row's value minus that of what it is held against. Toxicity is
    paired by prompt. Log-perplexity, in nats a token, is paired by window, and a window weighs by
    its tokens. Intervals resample the pairs; p-values flip their signs; p_holm corrects for all
    comparisons of the table on one metric.
    """
    pairs = comparisons(outcomes.interventions)
    one, other = (list(map(outcomes.column, names)) for names in zip(*pairs, strict=True))
    drops = outcomes.toxicity[:, one] - outcomes.toxicity[:, other]
    losses = outcomes.window_losses[:, one] - outcomes.window_losses[:, other]
    tokens = outcomes.window_tokens
    table = dict(zip(("intervention", "against"), zip(*pairs, strict=True), strict=True))
    table |= _tested("toxicity", drops, np.ones(len(drops)), bootstrap)
    table |= _tested("log_perplexity", losses / tokens[:, None], tokens, bootstrap)
    return pd.DataFrame(table)[list(COLUMNS)]


def _tested(
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


def readable_comparisons(table: pd.DataFrame) -> pd.DataFrame:
    """The table for reading: rounded, intervals in brackets behind their differences."""
    shown = table[["intervention", "against"]].copy()
    for metric, digits in METRICS.items():
        name = metric.replace("_", "-")
        ends = ("difference", "difference_low", "difference_high")
        triples = table[[f"{metric}_{end}" for end in ends]].to_numpy(dtype=np.float64)
        shown[f"{name} difference"] = [with_interval(*triple, digits) for triple in triples]
        shown[f"{name} p"] = table[f"{metric}_p"].map("{:.4f}".format)
        shown[f"{name} p (Holm)"] = table[f"{metric}_p_holm"].map("{:.4f}".format)
    return shown
