"""Shares of the groups, with unequal numbers of tokens a prompt."""

import h5py
import numpy as np
import pandas as pd
import pytest

from dpo_neurons.neurons.contributions import compute_contributions
from dpo_neurons.neurons.groups import GROUPS, RAISING, REDUCING
from dpo_neurons.neurons.prompt_projections import PromptProjections, project_prompts
from dpo_neurons.neurons.summaries import group_sets, sum_by_group, summarise_totals

# Two layers of two neurons; one member each of TP-, TN+, AP- and AN+.
ALONG = np.array([[2.0, 1.0], [-1.0, -4.0]])
TOKENS = {"pre": np.array([4, 1, 3]), "post": np.array([2, 4, 4])}
SHAPE = (3, 2, 2)
SUMS = {  # activations summed over each prompt's tokens
    "pre": np.array([[[8, -2], [4, -8]], [[2, -1], [2, -2]], [[6, -3], [3, -6]]], dtype=float),
    "post": np.array([[[2, -4], [1, -4]], [[4, -8], [4, -16]], [[2, -8], [2, -10]]], dtype=float),
}
EXPECTED = ["TP-", "TN+", "AP-", "AN+"]


def cache_of(path, sums, tokens):
    """An activation cache with what the shares are made from."""
    with h5py.File(path, "w") as file:
        file["mlp_post"] = (sums / np.maximum(tokens, 1)[:, None, None]).astype(np.float16)
        file["mask"] = np.arange(4) < tokens[:, None]
    return h5py.File(path)


@pytest.fixture
def case(tmp_path):
    """A table of contributions and the projections of both stages."""
    means = {s: SUMS[s].sum(axis=0) / TOKENS[s].sum() for s in SUMS}
    table = compute_contributions(
        means["pre"], means["post"], ALONG, ALONG, np.abs(ALONG) * 2, "v1"
    )
    sides = []
    for stage in ("pre", "post"):
        with cache_of(tmp_path / f"{stage}.h5", SUMS[stage], TOKENS[stage]) as cache:
            sides.append(project_prompts(table, cache, stage, group_sets(table)))
    return table, *sides


def test_prompts_add_their_projections_by_group(case):
    table, pre, post = case
    assert table["group"].tolist() == EXPECTED
    for stage, side in (("pre", pre), ("post", post)):
        np.testing.assert_array_equal(side.tokens, TOKENS[stage])
        expected = np.zeros((3, len(GROUPS)))
        for group, sums, along in zip(
            EXPECTED, SUMS[stage].reshape(3, 4).T, ALONG.ravel(), strict=True
        ):
            expected[:, GROUPS.index(group)] = sums * along
        np.testing.assert_allclose(side.sums, expected, rtol=2e-3)


def test_shares_by_hand(case):
    groups = sum_by_group(*case, resamples=200, level=0.9, seed=1).set_index("group")
    assert tuple(groups.index) == GROUPS
    # Means before: 16/8, -6/8, 9/8, -16/8; after: 8/10, -20/10, 7/10, -30/10.
    reductions = {"TP-": 2.4, "TN+": 1.25, "AP-": -0.425, "AN+": -4.0}
    for group in GROUPS:
        side = sum(reductions.get(one, 0) for one in (REDUCING if group in REDUCING else RAISING))
        assert groups.loc[group, "reduction"] == pytest.approx(reductions.get(group, 0))
        assert groups.loc[group, "neurons"] == (group in reductions)
        assert groups.loc[group, "share"] == pytest.approx(reductions.get(group, 0) / side)
    for side in (REDUCING, RAISING):
        assert groups.loc[list(side), "share"].sum() == pytest.approx(1)


def test_the_bootstrap_weights_prompts_by_their_tokens(case):
    table, pre, post = case
    groups = sum_by_group(table, pre, post, resamples=4000, level=0.9, seed=5)
    random = np.random.default_rng(0)
    drawn = random.integers(3, size=(4000, 3))
    mean = lambda side: side.sums[drawn].sum(axis=1) / side.tokens[drawn].sum(axis=1)[:, None]  # noqa: E731
    drops = mean(pre) - mean(post)
    for columns in (slice(0, 4), slice(4, 8)):
        shares = drops[:, columns] / drops[:, columns].sum(axis=1, keepdims=True)
        for bound, level in (("low", 0.05), ("high", 0.95)):
            expected = np.quantile(shares, level, axis=0)
            np.testing.assert_allclose(groups[f"share_{bound}"][columns], expected, atol=0.02)
            expected = np.quantile(drops[:, columns], level, axis=0)
            np.testing.assert_allclose(groups[f"reduction_{bound}"][columns], expected, atol=0.1)


def synthetic(n_prompts, noise):
    """Projections of many prompts around fixed drops of two reducing and two raising groups."""
    random = np.random.default_rng(7)
    drop = np.array([3, 1, 0, 0, -2, -2, 0, 0.0])
    tokens = random.integers(5, 20, size=n_prompts)
    wobble = random.normal(size=(n_prompts, 8)) * noise * (drop != 0)
    pre = PromptProjections((drop + 5 + wobble) * tokens[:, None], tokens)
    post = PromptProjections(np.tile(5.0 * tokens[:, None], 8), tokens)
    reduction = pre.sums.sum(axis=0) / tokens.sum() - 5
    names = [GROUPS[i] for i in np.flatnonzero(drop)]
    return pd.DataFrame({"group": names, "reduction": reduction[drop != 0]}), pre, post


def test_the_interval_holds_the_share_and_narrows_with_more_prompts():
    widths = []
    for n_prompts in (30, 480):
        groups = sum_by_group(*synthetic(n_prompts, 0.5), resamples=1000, level=0.95, seed=2)
        assert (groups["share_low"] <= groups["share"]).all()
        assert (groups["share"] <= groups["share_high"]).all()
        widths.append((groups["share_high"] - groups["share_low"])[0])
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.4)


def test_identical_prompts_leave_no_width():
    groups = sum_by_group(*synthetic(12, 0.0), resamples=300, level=0.95, seed=2)
    np.testing.assert_allclose(groups["share"], [0.75, 0.25, 0, 0, 0.5, 0.5, 0, 0])
    np.testing.assert_allclose(groups["share_high"], groups["share_low"], atol=1e-12)


def test_an_empty_side_has_shares_of_zero():
    table, pre, post = synthetic(12, 0.1)
    reducing = table["group"].isin(REDUCING)
    for side in (pre, post):
        side.sums[:, 4:] = 0
    groups = sum_by_group(table[reducing], pre, post, resamples=100, level=0.95, seed=2)
    assert groups["share"][:4].sum() == pytest.approx(1)
    assert (groups.loc[4:].drop(columns="group") == 0).all(axis=None)


def test_prompts_that_ended_at_once_do_not_spoil_the_interval():
    table, pre, post = synthetic(3, 0.1)
    for side in (pre, post):
        side.sums[:2] = 0
        side.tokens[:2] = 0
    groups = sum_by_group(table, pre, post, resamples=500, level=0.95, seed=2)
    assert np.isfinite(groups[["share_low", "share_high"]]).all(axis=None)


def test_every_share_and_sum_has_an_interval(case):
    groups = sum_by_group(*case, resamples=100, level=0.9, seed=1)
    for name in ("share", "reduction"):
        assert (groups[f"{name}_low"] <= groups[f"{name}_high"]).all()
        assert np.isfinite(groups[[f"{name}_low", f"{name}_high"]]).all(axis=None)


def totals_of(table, tmp_path, **bootstrap):
    with (
        cache_of(tmp_path / "total_pre.h5", SUMS["pre"], TOKENS["pre"]) as pre,
        cache_of(tmp_path / "total_post.h5", SUMS["post"], TOKENS["post"]) as post,
    ):
        return summarise_totals(table, pre, post, **bootstrap).set_index("quantity")


def test_totals_by_hand(case, tmp_path):
    # Reductions 2.4, 1.25, -0.425, -4 (above); activations before 2, -0.75, 1.125, -2.
    totals = totals_of(case[0], tmp_path, resamples=3000, level=0.9, seed=3)
    assert totals.drop("crossfitted_positive_reduction")["value"].to_dict() == pytest.approx(
        {
            "neurons": 4,
            "reducing": 0.5,
            "active": 0.5,
            "positive_reduction": 3.65,
            "net_reduction": -0.775,
        }
    )
    assert totals.loc[["neurons", "reducing", "active"], ["low", "high"]].isna().all(axis=None)
    drawn = np.random.default_rng(0).integers(3, size=(4000, 3))
    means = {
        stage: SUMS[stage][drawn].sum(axis=1) / TOKENS[stage][drawn].sum(axis=1)[:, None, None]
        for stage in SUMS
    }
    drops = ((means["pre"] - means["post"]) * ALONG).reshape(4000, 4)
    for name, expected in (("positive", drops[:, :2]), ("net", drops)):
        bounds = np.quantile(expected.sum(axis=1), [0.05, 0.95])
        actual = totals.loc[f"{name}_reduction", ["low", "high"]]
        np.testing.assert_allclose(actual.to_numpy(dtype=float), bounds, atol=0.15)


def test_a_neuron_that_nothing_moved_does_not_reduce(case, tmp_path):
    table = case[0].assign(reduction=[0.0, 1.0, -1.0, 0.0])
    totals = totals_of(table, tmp_path, resamples=10, level=0.9, seed=3)
    assert totals["value"]["reducing"] == 0.25
