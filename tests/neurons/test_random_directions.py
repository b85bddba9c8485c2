"""Sums along random directions, compared with contributions along each."""

import numpy as np
import pytest

from dpo_neurons.neurons.contributions import compute_contributions
from dpo_neurons.neurons.groups import REDUCING
from dpo_neurons.neurons.random_directions import (
    compare_with_random,
    draw_directions,
    sum_along,
)

N_LAYERS, D_MLP, D_MODEL = 3, 30, 12


@pytest.fixture(scope="module")
def pair():
    """Value vectors (n_layers, d_mlp, d_model) and mean activations of two checkpoints."""
    random = np.random.default_rng(3)
    values = random.normal(size=(2, N_LAYERS, D_MLP, D_MODEL))
    values[1] = values[0] + 0.1 * values[1]
    return values, random.normal(size=(2, N_LAYERS, D_MLP))


@pytest.mark.parametrize("definition", ["v1", "v3"])
def test_sums_are_those_of_the_contributions(pair, definition):
    values, means = pair
    directions = draw_directions(4, D_MODEL, seed=1)
    sums, nets = sum_along(directions, zip(*values, *means, strict=True), definition)
    for number, direction in enumerate(directions):
        table = compute_contributions(
            *means, *(values @ direction), np.linalg.norm(values[0], axis=-1), definition
        )
        reduction = table["reduction"]
        by_group = reduction.groupby(table["group"], observed=False).sum()[list(REDUCING)]
        expected = [
            reduction.sum(), reduction[reduction > 0].sum(), *(by_group / by_group.sum())
        ]  # fmt: skip
        np.testing.assert_allclose(sums[:, number], expected)
        by_layer = reduction.groupby(table["layer"]).sum()
        np.testing.assert_allclose(nets[:, number], by_layer)


def test_directions_are_unit_and_even():
    directions = draw_directions(4000, 3, seed=2)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    np.testing.assert_allclose(directions.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose((directions**2).mean(axis=0), 1 / 3, atol=0.02)


def test_p_is_the_rank_among_all_directions():
    others = np.tile(np.arange(-9.0, 10.0), (6, 1))  # 19 draws, mean 0
    own = np.array([100.0, 9.0, -8.5, 0.0, 5.0, -100.0])
    table = compare_with_random(np.column_stack([own, others]), 0.9)
    assert table["p"].tolist() == [1 / 20, 3 / 20, 3 / 20, 1, 11 / 20, 1 / 20]
    assert table["random_directions"].eq(19).all()


def test_without_an_effect_p_is_even(pair):
    """The direction is one more random one: p-values below a half come in half of the cases."""
    values, means = pair
    small = 0
    for seed in range(60):
        directions = draw_directions(40, D_MODEL, seed)
        sums, _ = sum_along(directions, zip(*values, *means, strict=True), "v1")
        small += compare_with_random(sums, 0.95)["p"][0] <= 0.5
    assert 18 <= small <= 42
