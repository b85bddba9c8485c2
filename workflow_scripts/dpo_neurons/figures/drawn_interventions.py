"""Rows of the table of interventions as figures draw them: kinds, labels, measures."""

import numpy as np
import pandas as pd

from dpo_neurons.figures.style import subscript_signs

KINDS = {
    "patch": "Patching",
    "control": "Control",
    "ablate": "Ablation",
    "scale_keys": "Key scaling",
    "edit": "Activation editing",
    "steer": "Steering",
    "strip": "Stripping the direction",
    "other": "Other interventions",
}
"""Title of each kind of intervention."""
REFERENCES = ("none", "dpo")
"""Kinds of the rows of the two models as they are, before and after fine-tuning."""
MEASURES = ("toxicity", "perplexity")
MEASURE_COLUMNS = tuple(f"{measure}{end}" for measure in MEASURES for end in ("", "_low", "_high"))
"""Columns of the measures and their intervals."""


def drawn_kinds(kinds: pd.Series) -> pd.Series:
    """Kinds as figures draw them: those that are neither in REFERENCES nor in KINDS are "other"."""
    return kinds.where(kinds.isin([*REFERENCES, *KINDS]), "other")


def intervention_labels(names: pd.Series) -> list[str]:
    """Names of interventions as figures write them: patch_TP- becomes "patch TP₋"."""
    return [subscript_signs(name).replace("_", " ") for name in names]


def measured_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The rows whose toxicity and perplexity are finite."""
    return table[np.isfinite(table[list(MEASURES)]).all(axis=1)].reset_index(drop=True)


def fill_intervals(table: pd.DataFrame, measures: tuple[str, ...] = MEASURES) -> pd.DataFrame:
    """The table with missing ends of intervals replaced by the measure itself."""
    ends = {f"{measure}_{end}": measure for measure in measures for end in ("low", "high")}
    return table.assign(**{end: table[end].fillna(table[of]) for end, of in ends.items()})
