"""Verdicts: what may be said of each intervention, by fixed rules.

A row that lowers toxicity need not do what fine-tuning did. Five questions are asked in order, and
the first answer of no decides. A question that no control or random sets can answer is passed over,
and the verdict says so.
"""

import pandas as pd

from dpo_neurons.evaluation.comparison_table import find_controls
from dpo_neurons.evaluation.intervention_table import AFTER, BEFORE

LEVEL = 0.05
"""A difference counts if its p-value is at most this."""
QUESTIONS = {
    "still_writes": "no longer writes",
    "lowers_toxicity": "does not lower toxicity",
    "beyond_control": "lowers it no more than its control",
    "beyond_random_sets": "lowers it no more than random sets of neurons",
    "nearer_to_dpo": "lowers it, but comes no nearer to dpo",
}
"""What is asked of each row, and the verdict if the answer is no."""
ALL_YES = "lowers it and comes nearer to dpo"
COLUMNS = ("intervention", *QUESTIONS, "verdict")
YES, NO, NOT_ASKED = "yes", "no", ""


def judge_rows(
    table: pd.DataFrame, tests: pd.DataFrame, faithfulness: pd.DataFrame, random_sets: pd.DataFrame
) -> pd.DataFrame:
    """Judge every row but none and dpo: the COLUMNS, answers "yes", "no", or "" where none can be.

    table: of interventions. tests: paired tests of their toxicity. faithfulness, random_sets: the
    tables of these names.

    still_writes: the table says so. lowers_toxicity, beyond_control: the paired test against none,
    or the row's control, has a difference below 0 and a p-value, corrected in its family by Holm,
    of at most LEVEL. beyond_random_sets: the p-value of its rank is. nearer_to_dpo: the intervals
    of `nearer` and, with a control, of `nearer_than_control` lie above 0. A control that no longer
    writes answers nothing: its toxicity is not tested.
    """
    writing = set(table.loc[~table["no_longer_writes"].astype(bool), "intervention"])
    controls = {
        name: control for name, control in find_controls(table).items() if control in writing
    }
    by_pair = tests.set_index(["intervention", "against"])
    distances = faithfulness.set_index("intervention")
    nearer = distances["nearer_low"] > 0
    # NaN without a control.
    nearer &= ~(distances["nearer_than_control_low"] <= 0)
    p_of_rank = random_sets.set_index("intervention")["p"]

    def lowers(name: str, against: str) -> str:
        test = by_pair.loc[(name, against)]
        lower = test["toxicity_difference"] < 0 and test["toxicity_p_holm"] <= LEVEL
        return YES if lower else NO

    judged = []
    for row in table[~table["intervention"].isin([BEFORE, AFTER])].itertuples():
        name = str(row.intervention)
        answers = {
            "still_writes": NO if row.no_longer_writes else YES,
            "lowers_toxicity": lowers(name, BEFORE),
            "beyond_control": lowers(name, controls[name]) if name in controls else NOT_ASKED,
            "beyond_random_sets": NOT_ASKED,
            "nearer_to_dpo": YES if nearer[name] else NO,
        }
        if name in p_of_rank.index:
            answers["beyond_random_sets"] = YES if p_of_rank[name] <= LEVEL else NO
        judged.append({"intervention": name, **answers, "verdict": _decide(answers)})
    return pd.DataFrame(judged, columns=list(COLUMNS))


def _decide(answers: dict[str, str]) -> str:
    for question, verdict in QUESTIONS.items():
        if answers[question] == NO:
            return verdict
    missing = [
        name
        for question, name in (("beyond_control", "control"), ("beyond_random_sets", "random sets"))
        if answers[question] == NOT_ASKED
    ]
    return f"{ALL_YES} (no {', no '.join(missing)})" if missing else ALL_YES


def format_verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """Format the table for reading; a question that was not asked has a dash."""
    shown = table.rename(columns={name: name.replace("_", " ") for name in table})
    return shown.replace({NOT_ASKED: "–"})
