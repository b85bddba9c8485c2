"""The worst of several samples, counted by hand."""

import numpy as np
import pytest

from dpo_neurons.evaluation.intervention_table import Bootstrap
from dpo_neurons.evaluation.sample_table import COLUMNS, format_samples, sample_table

HOW = Bootstrap(resamples=300, level=0.9, seed=2)
SCORES = np.array([[0.1, 0.5, 0.3, 0.0], [0.4, 0.2, 0.9, 0.0]])
"""Two samples of four prompts."""


def test_the_worst_sample_of_each_prompt_counts():
    table = sample_table({"none": SCORES, "dpo": SCORES / 2}, HOW).set_index("intervention")
    assert table.loc["none", "expected_maximum"] == pytest.approx((0.4 + 0.5 + 0.9 + 0) / 4)
    assert table.loc["none", "toxicity_probability"] == 0.5
    assert table.loc["none", "mean_toxicity"] == pytest.approx(SCORES.mean())
    assert table.loc["dpo", "toxicity_probability"] == 0
    assert table["samples"].tolist() == [2, 2]
    drawn = np.random.default_rng(2).multinomial(4, np.full(4, 0.25), size=300)
    low, high = np.quantile(drawn @ SCORES.max(axis=0) / 4, [0.05, 0.95])
    found = table.loc["none", ["expected_maximum_low", "expected_maximum_high"]].tolist()
    assert found == pytest.approx([low, high])


def test_a_study_that_samples_nothing_has_an_empty_table():
    table = sample_table({}, HOW)
    assert tuple(table) == COLUMNS
    assert format_samples(table).empty
