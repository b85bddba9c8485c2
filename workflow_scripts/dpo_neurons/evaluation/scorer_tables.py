"""Tables of a study's scorers: every row under each, and how far they agree."""

from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from dpo_neurons.errors import InputError
from dpo_neurons.evaluation.intervention_table import (
    BEFORE,
    NO_LONGER_WRITES,
    Bootstrap,
    format_intervals,
)
from dpo_neurons.evaluation.outcomes import choose_toxicity, gather_scores, paths_of_entries
from dpo_neurons.files.tables import read_table
from dpo_neurons.statistics.bootstrap import interval_columns, mean_intervals
from dpo_neurons.study.names import NAME_OF_FIRST_SCORER

THRESHOLD = 0.5
"""From this score on, a scorer says yes."""
ROW_COLUMNS = (
    "intervention", "scorer", "mean", "mean_low", "mean_high", "difference", "difference_low",
    "difference_high", "no_longer_writes",
)  # fmt: skip
AGREEMENT_COLUMNS = (
    "scorer", "other_scorer", "continuations", "pearson", "spearman", "agreement", "kappa",
    "mean", "other_mean",
)  # fmt: skip


def read_scorers(
    results: Path, model: str, rows: pd.DataFrame, further: Iterable[str]
) -> dict[str, pd.DataFrame]:
    """Read the scores of all scorers, by name: a line a prompt, a column a row.

    rows: with intervention and entry. further: names of the further scorers.
    Raises InputError for scores that are missing, or of another number of prompts.
    """
    names = rows["intervention"].tolist()
    paths = paths_of_entries(results / "scores" / model, rows, ".parquet")
    toxicity = choose_toxicity(gather_scores(paths), names)
    scores = {NAME_OF_FIRST_SCORER: toxicity}
    for scorer in further:
        folder = results / "further_scores" / model / scorer
        by_row = {
            str(name): lines.to_numpy()
            for path in paths_of_entries(folder, rows, ".parquet")
            for name, lines in read_table(path, ("intervention", "score"), "scores need").groupby(
                "intervention", sort=False
            )["score"]
        }
        for name in names:
            if len(by_row.get(name, ())) != len(toxicity):
                raise InputError(
                    f"{folder}: {len(by_row.get(name, ()))} scores of row {name}, but "
                    f"{NAME_OF_FIRST_SCORER} has {len(toxicity)}; delete the folder and run again"
                )
        scores[scorer] = pd.DataFrame({name: by_row[name] for name in names})
    return scores


def tabulate_rows(
    scores: Mapping[str, pd.DataFrame], rows: pd.DataFrame, bootstrap: Bootstrap
) -> pd.DataFrame:
    """Tabulate every row under every scorer: the ROW_COLUMNS.

    scores: of `read_scorers`. rows: with intervention and no_longer_writes. difference: the mean of
    the row minus that of none, paired by prompt. Intervals resample prompts.
    """
    how = (bootstrap.resamples, bootstrap.level, bootstrap.seed)
    tables = []
    for scorer, by_row in scores.items():
        values = by_row[rows["intervention"]].to_numpy(dtype=np.float64)
        differences = values - by_row[BEFORE].to_numpy(dtype=np.float64)[:, None]
        columns = {"intervention": rows["intervention"].to_numpy(), "scorer": scorer}
        columns |= interval_columns("mean", mean_intervals(values, *how))
        columns |= interval_columns("difference", mean_intervals(differences, *how))
        columns["no_longer_writes"] = rows["no_longer_writes"].to_numpy(dtype=bool)
        tables.append(pd.DataFrame(columns)[list(ROW_COLUMNS)])
    return pd.concat(tables, ignore_index=True)


def tabulate_agreement(scores: Mapping[str, pd.DataFrame], rows: pd.DataFrame) -> pd.DataFrame:
    """Tabulate how far each two scorers agree on continuations: the AGREEMENT_COLUMNS.

    scores, rows: as in `tabulate_rows`. Continuations of rows that no longer write are left out,
    since agreement on noise says nothing. agreement: the share of continuations that both score
    from THRESHOLD on, or both below. kappa: Cohen's, that share corrected for chance. Correlations
    are NaN where a scorer is constant; kappa is NaN where both always say the same.
    """
    writing = rows.loc[~rows["no_longer_writes"].astype(bool), "intervention"]
    pooled = {
        scorer: by_row[writing].to_numpy(dtype=np.float64).ravel()
        for scorer, by_row in scores.items()
    }
    positive = {name: values >= THRESHOLD for name, values in pooled.items()}
    table = [
        {
            "scorer": scorer,
            "other_scorer": other,
            "continuations": len(pooled[scorer]),
            "pearson": _correlate(pooled[scorer], pooled[other]),
            "spearman": _correlate(rankdata(pooled[scorer]), rankdata(pooled[other])),
            "agreement": float(np.mean(positive[scorer] == positive[other])),
            "kappa": cohens_kappa(positive[scorer], positive[other]),
            "mean": float(pooled[scorer].mean()),
            "other_mean": float(pooled[other].mean()),
        }
        for scorer, other in combinations(pooled, 2)
    ]
    return pd.DataFrame(table, columns=list(AGREEMENT_COLUMNS))


def cohens_kappa(first: np.ndarray, second: np.ndarray) -> float:
    """Return Cohen's kappa of two series of yes and no, (n,) bool each.

    It is (p - e) / (1 - e), with the share p on which they agree, and the share e expected by
    chance from how often each says yes. It is NaN where e is 1.
    """
    agreed = float(np.mean(first == second))
    chance = first.mean() * second.mean() + (1 - first.mean()) * (1 - second.mean())
    return float((agreed - chance) / (1 - chance)) if chance < 1 else float("nan")


def _correlate(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation of (n,) with (n,); NaN where one is constant."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def format_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Format the table of rows for reading: a column a scorer, with its difference from none."""
    scorers = table["scorer"].unique()
    shown = table.loc[table["scorer"] == scorers[0], ["intervention"]].reset_index(drop=True)
    for scorer in scorers:
        of_scorer = table[table["scorer"] == scorer]
        shown[scorer] = format_intervals(of_scorer, "mean", 3)
        shown[f"{scorer}: difference from {BEFORE}"] = format_intervals(of_scorer, "difference", 3)
    broken = table.loc[table["scorer"] == scorers[0], "no_longer_writes"].to_numpy()
    shown["note"] = np.where(broken, NO_LONGER_WRITES, "")
    return shown


def format_agreement(table: pd.DataFrame) -> pd.DataFrame:
    """Format the table of agreement for reading: rounded."""
    shown = table[["scorer", "other_scorer", "continuations"]].copy()
    titles = {
        "pearson": "Pearson", "spearman": "Spearman", "agreement": f"agreement at {THRESHOLD}",
        "kappa": "Cohen's kappa", "mean": "mean", "other_mean": "other mean",
    }  # fmt: skip
    for column, title in titles.items():
        shown[title] = [
            f"{value:z.3f}" if np.isfinite(value) else "undefined" for value in table[column]
        ]
    return shown.rename(columns={"other_scorer": "other scorer"})
