"""A finished study opened as in a notebook: every table equals its file."""

import subprocess
import sys

import altair as alt
import numpy as np
import pandas as pd
import pytest
from support.workflow import FIGURES, INTERVENTIONS, RESULTS

import dpo_neurons
from dpo_neurons.errors import InputError

pytest_plugins = ["support.finished_study"]


@pytest.fixture
def folder(finished_study):
    return finished_study / RESULTS


@pytest.fixture
def study(folder):
    return dpo_neurons.open_study(folder)


def test_tables_are_those_of_the_files(study, folder):
    assert study.models == ["toy"]
    assert study.directions("toy") == ["probe"]
    assert tuple(study.interventions["intervention"]) == INTERVENTIONS
    assert tuple(study.table("toy")["intervention"]) == INTERVENTIONS
    assert study.table("toy").set_index("intervention")["control_of"]["control_tp"] == "patch_tp"
    for table, file, column in (
        (study.table("toy"), "tables/toy.csv", "toxicity"),
        (study.tests("toy"), "tables/toy.tests.csv", "toxicity_p"),
        (study.faithfulness("toy"), "tables/toy.faithfulness.csv", "kl_dpo"),
        (study.random_sets("toy"), "tables/toy.random_sets.csv", "p"),
        (study.verdicts("toy"), "tables/toy.verdicts.csv", "verdict"),
        (study.comparison(), "tables/comparison.csv", "value"),
        (study.groups("toy", "probe"), "groups/toy/probe.csv", "share"),
    ):
        pd.testing.assert_series_equal(table[column], pd.read_csv(folder / file)[column])


def test_what_is_measured_of_an_intervention_fits_together(study):
    scores = study.scores("toy", "patch_tp")["toxicity"]
    table = study.table("toy").set_index("intervention")
    assert scores.mean() == pytest.approx(table["toxicity"]["patch_tp"])
    generations = study.generations("toy", "patch_tp")
    assert len(generations) == len(scores)
    assert len(study.plan("toy", "patch_tp")) == table["neurons"]["patch_tp"]


def test_activations_and_direction_give_the_contributions(study):
    contributions = study.contributions("toy", "probe")
    with study.activations("toy", "pre") as cache:
        means = cache["mlp_post_mean"][:]
    np.testing.assert_array_equal(contributions["activation_pre"], means.ravel())
    assert np.linalg.norm(study.direction("toy", "probe"), axis=1) == pytest.approx(1)


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_is_a_chart(study, figure):
    chart = study.figure("toy", figure)
    assert isinstance(chart, alt.TopLevelMixin)
    assert chart.to_dict()["title"]


def test_what_is_not_there_is_named_with_what_is(study, tmp_path):
    with pytest.raises(InputError, match=r"other\.csv: no such result; .*toy"):
        study.table("other")
    with pytest.raises(InputError, match="not the results of a study"):
        dpo_neurons.open_study(tmp_path)


def test_opening_a_study_loads_no_torch(folder):
    code = (
        "import sys, dpo_neurons\n"
        f"study = dpo_neurons.open_study({str(folder)!r})\n"
        "study.table('toy'), study.contributions('toy', 'probe')\n"
        "study.figure('toy', '6_tradeoff')\n"
        "print({'torch', 'transformers', 'snakemake'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "set()\n", done.stderr
