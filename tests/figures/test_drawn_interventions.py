"""Rows of the table of interventions as figures draw them."""

import numpy as np
import pandas as pd
import yaml
from support.figure_cases import DPO, NONE, interventions

from dpo_neurons.figures.drawn_interventions import (
    KINDS,
    drawn_kinds,
    fill_intervals,
    intervention_labels,
    measured_rows,
)
from dpo_neurons.study.schema import SCHEMA


def test_unknown_kinds_are_drawn_as_other():
    kinds = pd.Series(["none", "dpo", "patch", "control", "new"])
    assert drawn_kinds(kinds).tolist() == ["none", "dpo", "patch", "control", "other"]


def test_every_kind_that_a_study_can_have_is_drawn_as_itself():
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    of_studies = schema["$defs"]["intervention"]["properties"]["kind"]["enum"]
    assert {*of_studies, "control", "other"} == set(KINDS)


def test_labels_write_signs_as_subscripts():
    assert intervention_labels(pd.Series(["patch_TP-_AN+", "dpo"])) == ["patch TP₋ AN₊", "dpo"]


def test_rows_without_finite_measures_are_left_out():
    table = interventions(NONE, DPO, ("a", "edit"), ("b", "edit"))
    table.loc[1, "toxicity"], table.loc[2, "perplexity"] = np.nan, np.inf
    assert measured_rows(table)["intervention"].tolist() == ["none", "b"]


def test_missing_intervals_shrink_to_their_points():
    table = interventions(NONE, DPO).assign(toxicity_low=[np.nan, 0.1])
    assert fill_intervals(table)["toxicity_low"].tolist() == [0.5, 0.1]
