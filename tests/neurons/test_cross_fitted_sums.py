"""Cross-fitted sums and curves, against loops over single neurons and prompts."""

import numpy as np
import pandas as pd
import pytest
from support.simulated_pair import LAYERS, WIDTH, simulated_pair

from dpo_neurons.neurons.cross_fitted_curve import choose_bins, cross_fit_curve
from dpo_neurons.neurons.cross_fitted_groups import choose_groups, cross_fit_groups
from dpo_neurons.neurons.cross_fitted_sums import cross_fit_layers
from dpo_neurons.neurons.groups import GROUPS, UNCHANGED, assign_groups
from dpo_neurons.neurons.resampled_curve import choose_ranks, summarise_cancellation
from dpo_neurons.neurons.summaries import summarise_groups, summarise_totals
from dpo_neurons.statistics.cross_fitting import add_up, assign_folds

PROMPTS, SEED = 23, 4
BOOTSTRAP = 200, 0.9, SEED


@pytest.fixture(scope="module")
def case():
    """A table of contributions and both caches; one prompt ended at once after fine-tuning."""
    table, pre, post = simulated_pair("mixture").draw(PROMPTS, np.random.default_rng(8))
    post["mask"][5], post["mlp_post"][5] = False, 0
    return table, pre, post


def unchanged_pair():
    """Two checkpoints that are equal."""
    table, pre, _ = simulated_pair("noise").draw(PROMPTS, np.random.default_rng(8))
    same = {f"{name}_post": table[f"{name}_pre"] for name in ("activation", "projection")}
    return table.assign(**same, reduction=0.0, group=UNCHANGED), pre, pre


def means_of(cache, prompts):
    """Mean activations over the counted tokens of some prompts, (n_neurons,)."""
    tokens = cache["mask"][prompts].sum(axis=1)
    mlp_post = cache["mlp_post"][prompts].reshape(len(tokens), -1).astype(np.float64)
    return tokens @ mlp_post / tokens.sum()


def reductions_of_prompts(table, pre, post):
    """Each prompt's reduction of each neuron, (PROMPTS, n_neurons), whose mean is the reduction."""
    reductions = np.tile(table["reduction"].to_numpy(), (PROMPTS, 1))
    for sign, stage, cache in ((1, "pre", pre), (-1, "post", post)):
        along = (table[f"projection_{stage}"] / table[f"activation_{stage}"]).to_numpy()
        tokens = cache["mask"].sum(axis=1)
        mean = means_of(cache, np.arange(PROMPTS))
        for prompt in range(PROMPTS):
            away = cache["mlp_post"][prompt].ravel().astype(np.float64) - mean
            reductions[prompt] += sign * tokens[prompt] / tokens.mean() * away * along
    return reductions


def test_groups_are_chosen_on_all_folds_but_their_own(case):
    table, pre, post = case
    along = (table["projection_pre"] / table["activation_pre"]).to_numpy()
    folds, reductions = assign_folds(PROMPTS, SEED), reductions_of_prompts(*case)
    expected = dict.fromkeys([*GROUPS, UNCHANGED], 0.0)
    for fold in range(10):
        others = folds != fold
        before, after = means_of(pre, others), means_of(post, others)
        groups = assign_groups(table["cosine"], before, after, (before - after) * along, "v1")
        for group, reduction in zip(groups, reductions[~others].sum(axis=0), strict=True):
            expected[group] += reduction / PROMPTS
    crossfitted, by_layer = cross_fit_groups(table, pre, post, "v1", *BOOTSTRAP)
    assert crossfitted["crossfitted_reduction"].tolist() == pytest.approx(
        [expected[group] for group in GROUPS], rel=1e-4
    )
    assert sum(expected.values()) == pytest.approx(table["reduction"].sum())
    sums = by_layer.groupby("group")["crossfitted_reduction"].sum()
    assert sums[list(GROUPS)].tolist() == pytest.approx(
        crossfitted["crossfitted_reduction"].tolist()
    )


def test_shifts_are_what_one_fold_more_chooses(case):
    table, pre, post = case
    along = (table["projection_pre"] / table["activation_pre"]).to_numpy()
    folds, reductions = assign_folds(PROMPTS, SEED), reductions_of_prompts(*case)
    choose = choose_groups(table, "v1")
    fits = cross_fit_layers(table, pre, post, folds, choose, len(GROUPS) + 1)
    shifts = add_up([fit for _, fit in fits]).shifts
    assert shifts.shape == (10, 10, 9)

    def sums_on(fold, *left_out):
        chosen_on = ~np.isin(folds, left_out)
        before, after = means_of(pre, chosen_on), means_of(post, chosen_on)
        groups = assign_groups(table["cosine"], before, after, (before - after) * along, "v1")
        of_fold = reductions[folds == fold].sum(axis=0) / PROMPTS
        return np.array([of_fold[groups == group].sum() for group in [*GROUPS, UNCHANGED]])

    for first, second in ((0, 1), (1, 0), (7, 3)):
        expected = sums_on(first, first) - sums_on(first, first, second)
        np.testing.assert_allclose(shifts[first, second], expected, atol=1e-5)
    assert np.abs(shifts).max() > 1e-2, "some neuron changed its group"
    np.testing.assert_array_equal(shifts[np.arange(10), np.arange(10)], 0)


def test_the_curve_ranks_on_other_folds_than_it_sums():
    case = simulated_pair("real").draw(PROMPTS, np.random.default_rng(8))
    table, pre, post = case
    falling = -np.sort(-table["reduction"].to_numpy())
    ranks = choose_ranks(falling)
    peak, n = ranks.marks["peak"], len(falling)
    assert list(ranks.points) == list(range(n + 1)), "few neurons, every rank"
    along = (table["projection_pre"] / table["activation_pre"]).to_numpy()
    folds, reductions = assign_folds(PROMPTS, SEED), reductions_of_prompts(*case)
    curve, positions = np.zeros(n + 1), np.zeros(n + 1)
    for fold in range(10):
        others = folds != fold
        chosen_by = (means_of(pre, others) - means_of(post, others)) * along
        sums = reductions[~others].sum(axis=0)[np.argsort(-chosen_by)] / PROMPTS
        reducing = int((chosen_by > 0).sum())
        up = np.arange(peak) / peak * reducing
        down = reducing + np.arange(n - peak + 1) / (n - peak) * (n - reducing)
        places = np.concatenate([up, down]).round().astype(int)
        curve += np.append(0.0, np.cumsum(sums))[places]
        positions += places / 10
    layers, tabulated = cross_fit_curve(
        table, pre, post, ranks.points, ranks.reducing_bins, *BOOTSTRAP
    )
    np.testing.assert_allclose(tabulated["crossfitted_neurons"], positions, atol=0.11)
    np.testing.assert_allclose(tabulated["crossfitted"], curve, atol=2e-3)
    whole = layers.iloc[-1]
    assert whole["crossfitted_reducing"] == pytest.approx(curve[peak], rel=1e-4)
    assert whole["crossfitted_raising"] == pytest.approx(curve[-1] - curve[peak], rel=1e-4)
    assert layers["crossfitted_reducing"][:LAYERS].sum() == pytest.approx(curve[peak], rel=1e-4)
    reached = positions[np.flatnonzero(curve >= 0.5 * curve[peak])[0]]
    assert whole["crossfitted_neurons_50"] == pytest.approx(reached, abs=1)


def test_bins_divide_whatever_reduces_in_the_same_proportions():
    table = pd.DataFrame(
        {
            f"{name}_{stage}": np.ones(8)
            for name in ("activation", "projection")
            for stage in ("pre", "post")
        }
    )
    # Two of four reducing neurons lie before the first point, the others before the second.
    choose = choose_bins(table, np.array([0, 2, 4, 8]), reducing_bins=2)
    before = np.array([8.0, 7, 6, 5, 4, 3, -1, 0])
    assert choose(before, np.zeros(8)).tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert choose(-before, np.zeros(8)).tolist() == [2, 2, 2, 2, 2, 2, 1, 2], "a half is none"


def test_the_tables_hold_both_numbers_and_say_which_is_corrected(case):
    table, pre, post = case
    groups, layers = summarise_groups(table, pre, post, "v1", *BOOTSTRAP)
    np.testing.assert_allclose(
        groups["reduction"], [table.loc[table["group"] == g, "reduction"].sum() for g in GROUPS]
    )
    assert (groups["corrected_for_selection"] == "crossfitted_… only").all()
    assert len(layers) == LAYERS * len(GROUPS)
    assert layers["neurons"].sum() == LAYERS * WIDTH
    by_layer, curve = summarise_cancellation(table, pre, post, *BOOTSTRAP)
    for part in (by_layer, curve):
        assert (part["corrected_for_selection"] == "crossfitted_… only").all()
    totals = summarise_totals(table, pre, post, *BOOTSTRAP).set_index("quantity")
    marks = totals["corrected_for_selection"].to_dict()
    assert marks["positive_reduction"] == "no"
    assert marks["crossfitted_positive_reduction"] == "yes"
    whole = by_layer.iloc[-1]
    assert totals.loc["crossfitted_positive_reduction", "value"] == pytest.approx(
        whole["crossfitted_reducing"], rel=1e-4
    )
    # Choosing and summing on the same prompts always looks like more.
    assert whole["crossfitted_reducing"] < whole["reducing"]
    assert -whole["crossfitted_raising"] < -whole["raising"]
    marked = curve.set_index("mark")
    assert marked.loc["net", "crossfitted"] == pytest.approx(table["reduction"].sum())


def test_checkpoints_that_are_equal_are_no_finding():
    table, pre, post = unchanged_pair()
    groups, _ = summarise_groups(table, pre, post, "v1", *BOOTSTRAP)
    names = [f"crossfitted_reduction{end}" for end in ("", "_low", "_high")]
    np.testing.assert_allclose(groups[names], 0, atol=1e-12)
    assert groups[["crossfitted_share", "crossfitted_share_low"]].isna().all(axis=None)
    by_layer, curve = summarise_cancellation(table, pre, post, *BOOTSTRAP)
    undefined = [f"crossfitted_{name}" for name in ("cancelled", "neurons_50", "neurons_99")]
    assert by_layer[undefined].isna().all(axis=None)
    np.testing.assert_allclose(curve[["crossfitted", "crossfitted_high"]], 0, atol=1e-9)


def test_one_prompt_leaves_nothing_to_choose_on():
    table, pre, post = simulated_pair("real").draw(1, np.random.default_rng(1))
    groups, layers = summarise_groups(table, pre, post, "v1", *BOOTSTRAP)
    for part in (groups, layers, summarise_cancellation(table, pre, post, *BOOTSTRAP)[0]):
        assert part.filter(regex="^crossfitted_").isna().all(axis=None)
    assert np.isfinite(groups["reduction"]).all()


def test_two_prompts_choose_for_each_other():
    table, pre, post = simulated_pair("real").draw(2, np.random.default_rng(1))
    groups, _ = summarise_groups(table, pre, post, "v1", *BOOTSTRAP)
    assert np.isfinite(groups["crossfitted_reduction_high"]).all()
