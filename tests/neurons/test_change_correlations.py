"""Correlations of changes of activation, against numbers by hand and SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from dpo_neurons.neurons.change_correlations import correlate_changes


def neurons(layer, cosine, before, after):
    columns = {"layer": layer, "cosine": cosine, "activation_pre": before}
    return pd.DataFrame(columns | {"activation_post": after})


def test_each_layer_and_all_together_by_hand():
    # Changes: 1, 0, −1 in layer 0, against cosines in the same order; constant in layer 1.
    table = neurons([0, 0, 0, 1, 1], [0.3, 0.2, 0.1, 0.5, -0.5], [1, 2, 3, 4, 5], [2, 2, 2, 4, 5])
    correlations = correlate_changes(table).set_index(["layer", "quantity"])
    assert correlations.loc[("0", "cosine"), "pearson"] == pytest.approx(1)
    assert correlations.loc[("0", "activation_pre"), "pearson"] == pytest.approx(-1)
    assert np.isnan(correlations.loc[("1", "cosine"), "pearson"])
    # Deviations of the changes 1 0 −1 0 0, and of the activations −2 −1 0 1 2 before.
    expected = -2 / np.sqrt(2 * 10)
    assert correlations.loc[("all", "activation_pre"), "pearson"] == pytest.approx(expected)
    assert correlations["neurons"].tolist() == [5, 5, 3, 3, 2, 2]


def test_many_neurons_agree_with_scipy():
    rng = np.random.default_rng(0)
    cosine, before, after = rng.normal(size=(3, 400))
    (of_cosine, of_before) = correlate_changes(neurons(0, cosine, before, after))["pearson"][:2]
    assert of_cosine == pytest.approx(pearsonr(cosine, after - before).statistic)
    assert of_before == pytest.approx(pearsonr(before, after - before).statistic)
