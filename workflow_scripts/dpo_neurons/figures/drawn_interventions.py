"""Rows of the table of interventions, prepared for figures."""

import numpy as np
import pandas as pd

from dpo_neurons.figures.style import subscript_signs

KINDS = {
    "patch": "Patching",
    "shift": "Live shifts",
    "damp": "Damping",
    "control": "Control",
    "ablate": "Ablation",
    "scale_keys": "Key scaling",
    "edit": "Activation editing",
    "steer": "Steering",
    "strip": "Stripping the direction",
    "transplant": "Transplants of weights",
    "other": "Other interventions",
}
"""Title of each kind of intervention."""
REFERENCES = ("none", "dpo")
"""Kinds of the rows of the unchanged models, before and after fine-tuning."""
MEASURES = ("toxicity", "perplexity")
MEASURE_COLUMNS = tuple(f"{measure}{end}" for measure in MEASURES for end in ("", "_low", "_high"))
"""Columns of the measures and their intervals."""


def drawn_kinds(kinds: pd.Series) -> pd.Series:
    """Return the kinds to draw: unknown ones become "other"."""
    return kinds.where(kinds.isin([*REFERENCES, *KINDS]), "other")


def intervention_labels(names: pd.Series) -> list[str]:
    """Return the labels of interventions: patch_TP- becomes "patch TP₋"."""
    return [subscript_signs(name).replace("_", " ") for name in names]


NO_LONGER_WRITES = "†: the model no longer writes, so its toxicity says nothing"
"""Note of figures with such rows."""


def measured_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose toxicity and perplexity are finite."""
    return table[np.isfinite(table[list(MEASURES)]).all(axis=1)].reset_index(drop=True)


def fill_intervals(table: pd.DataFrame, measures: tuple[str, ...] = MEASURES) -> pd.DataFrame:
    """Replace missing ends of intervals by the measure itself."""
    ends = {f"{measure}_{end}": measure for measure in measures for end in ("low", "high")}
    return table.assign(**{end: table[end].fillna(table[of]) for end, of in ends.items()})
