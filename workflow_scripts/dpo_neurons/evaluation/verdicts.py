"""Verdicts: what may be said of each intervention, by fixed rules.

A row that lowers toxicity need not do what fine-tuning did. Five questions are asked in order, and
the first answer of no decides. A question that no control or random sets can answer is passed over,
and the verdict says so. Where a model no longer writes, its toxicity answers nothing.
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
    "beyond_random_sets": "lowers it no more than random sets like its own",
    "nearer_to_dpo": "lowers it, but comes no nearer to dpo",
}
"""What is asked of each row, and the verdict if the answer is no."""
ALL_YES = "lowers it and comes nearer to dpo"
NOTHING = "nothing can be said: none no longer writes"
"""The verdict on every row if the first model itself no longer writes."""
CONTROLS = {
    "patch": "held at the first model's own means",
    "shift": "its shifts permuted once",
    "damp": "its factors permuted once",
    "edit": "the same with alpha 0",
    "steer": "a random vector",
}
"""What the control of each kind of row is, for the verdict that it decides."""
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
    writes answers nothing: its toxicity is not tested. Of a row that no longer writes nothing else
    is asked, and of no row anything if none itself no longer writes.
    """
    writing = set(table.loc[~table["no_longer_writes"].astype(bool), "intervention"])
    unasked = dict.fromkeys(QUESTIONS, NOT_ASKED)
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
        if BEFORE not in writing:
            judged.append({"intervention": name, **unasked, "verdict": NOTHING})
            continue
        if name not in writing:
            broken = unasked | {"still_writes": NO}
            verdict = QUESTIONS["still_writes"]
            judged.append({"intervention": name, **broken, "verdict": verdict})
            continue
        answers = {
            "still_writes": YES,
            "lowers_toxicity": lowers(name, BEFORE),
            "beyond_control": lowers(name, controls[name]) if name in controls else NOT_ASKED,
            "beyond_random_sets": NOT_ASKED,
            "nearer_to_dpo": YES if nearer[name] else NO,
        }
        if name in p_of_rank.index:
            answers["beyond_random_sets"] = YES if p_of_rank[name] <= LEVEL else NO
        verdict = _decide(answers, str(row.kind))
        judged.append({"intervention": name, **answers, "verdict": verdict})
    return pd.DataFrame(judged, columns=list(COLUMNS))


def _decide(answers: dict[str, str], kind: str) -> str:
    for question, verdict in QUESTIONS.items():
        if answers[question] == NO:
            return f"{verdict} ({CONTROLS[kind]})" if question == "beyond_control" else verdict
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
