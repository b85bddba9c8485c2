"""The net curve under resampled prompts, compared with a bootstrap over single neurons."""

import sys

import h5py
import numpy as np
import pandas as pd
import pytest
import summarise_cancellation as program

from dpo_neurons.activations.cache import DATASETS
from dpo_neurons.errors import InputError
from dpo_neurons.neurons.cancellation import tabulate_cancellation
from dpo_neurons.neurons.contributions import compute_contributions
from dpo_neurons.neurons.resampled_curve import (
    add_intervals,
    choose_ranks,
    resample_bins,
    summarise_cancellation,
)
from dpo_neurons.statistics.bootstrap import resampled_counts

PROMPTS, LAYERS, WIDTH = 7, 3, 40
RESAMPLES, LEVEL, SEED = 400, 0.9, 5


def activations(stage):
    """Per-prompt means, exact in float16, and tokens a prompt; one prompt ended at once."""
    random = np.random.default_rng({"pre": 1, "post": 2}[stage])
    means = random.integers(-64, 64, size=(PROMPTS, LAYERS, WIDTH)) / 64
    tokens = np.array([4, 1, 3, 4, 2, 0, 4] if stage == "pre" else [2, 4, 4, 1, 3, 4, 4])
    return means * (tokens > 0)[:, None, None], tokens


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A table of contributions, and both caches in a folder."""
    folder = tmp_path_factory.mktemp("caches")
    along = np.random.default_rng(0).normal(size=(LAYERS, WIDTH))
    means = {}
    for stage in ("pre", "post"):
        per_prompt, tokens = activations(stage)
        means[stage] = np.einsum("pln,p->ln", per_prompt, tokens) / tokens.sum()
        with h5py.File(folder / f"{stage}.h5", "w") as file:
            for name in DATASETS:
                file[name] = np.zeros(1)
            del file["mlp_post"], file["mask"]
            file["mlp_post"] = per_prompt.astype(np.float16)
            file["mask"] = np.arange(4) < tokens[:, None]
    table = compute_contributions(
        means["pre"], means["post"], along, along * 1.1, np.abs(along) + 1, "v1"
    )
    table.to_parquet(folder / "contributions.parquet", index=False)
    return table, folder


@pytest.fixture(scope="module")
def neuron_drops(case):
    """Every neuron's resampled reduction, (RESAMPLES, layers, neurons), computed directly."""
    table, _ = case
    counts = resampled_counts(PROMPTS, RESAMPLES, SEED)
    projected = []
    for stage in ("pre", "post"):
        per_prompt, tokens = activations(stage)
        along = (table[f"projection_{stage}"] / table[f"activation_{stage}"]).to_numpy()
        weights = counts * tokens
        means = np.einsum("rp,pln->rln", weights, per_prompt) / weights.sum(axis=1)[:, None, None]
        projected.append(means * along.reshape(LAYERS, WIDTH))
    return projected[0] - projected[1]


def summarised(case):
    """By layer, and the curve."""
    table, folder = case
    with h5py.File(folder / "pre.h5") as pre, h5py.File(folder / "post.h5") as post:
        return summarise_cancellation(table, pre, post, RESAMPLES, LEVEL, SEED)


def ends(statistics):
    """The interval, by sorting."""
    return np.quantile(statistics, [0.05, 0.95], axis=0)


def test_intervals_of_layers_are_those_of_a_bootstrap_over_neurons(case, neuron_drops):
    table, _ = case
    by_layer, _ = summarised(case)
    reduces = (table["reduction"] > 0).to_numpy().reshape(LAYERS, WIDTH)
    scopes = [(slice(layer, layer + 1), layer) for layer in range(LAYERS)] + [(slice(None), -1)]
    for scope, row in scopes:
        drops, up = neuron_drops[:, scope], reduces[scope]
        reducing, raising = drops[:, up].sum(axis=1), drops[:, ~up].sum(axis=1)
        expected = {
            "reducing": reducing,
            "raising": raising,
            "net": reducing + raising,
            "cancelled": -raising[reducing > 0] / reducing[reducing > 0],
        }
        for name, statistics in expected.items():
            actual = by_layer.iloc[row][[f"{name}_low", f"{name}_high"]].astype(float)
            assert actual.tolist() == pytest.approx(ends(statistics), rel=1e-4, abs=1e-5)


def test_the_curve_is_that_of_neurons_in_their_fixed_order(case, neuron_drops):
    table, _ = case
    _, curve = summarised(case)
    order = np.argsort(table["rank"].to_numpy())
    resampled = np.cumsum(neuron_drops.reshape(RESAMPLES, -1)[:, order], axis=1)
    low, high = ends(np.concatenate([np.zeros((RESAMPLES, 1)), resampled], axis=1))
    sums = np.append(0.0, np.cumsum(table["reduction"].to_numpy()[order]))
    assert curve["neurons"].tolist() == sorted(curve["neurons"])
    assert set(curve["neurons"]) == set(range(LAYERS * WIDTH + 1)), "few neurons, every rank"
    np.testing.assert_allclose(curve["cumulative"], sums[curve["neurons"]], atol=1e-9)
    np.testing.assert_allclose(curve["low"], low[curve["neurons"]], atol=1e-4)
    np.testing.assert_allclose(curve["high"], high[curve["neurons"]], atol=1e-4)


def test_numbers_of_carrying_neurons_vary_along_the_fixed_ranking(case, neuron_drops):
    table, _ = case
    by_layer, _ = summarised(case)
    order = np.argsort(table["rank"].to_numpy())
    positive = int((table["reduction"] > 0).sum())
    curves = np.cumsum(neuron_drops.reshape(RESAMPLES, -1)[:, order[:positive]], axis=1)
    curves = curves[curves[:, -1] > 0]
    for name, share in (("neurons_50", 0.5), ("neurons_90", 0.9)):
        needed = [np.flatnonzero(curve >= share * curve[-1])[0] + 1 for curve in curves]
        actual = by_layer.iloc[-1][[f"{name}_low", f"{name}_high"]].astype(float)
        assert actual.tolist() == pytest.approx(ends(needed), abs=1e-6)


def test_marks_name_the_points_of_the_exact_curve(case):
    table, _ = case
    by_layer, curve = summarised(case)
    marks = curve[curve["mark"] != ""].set_index("mark")["neurons"]
    whole = by_layer.iloc[-1]
    for name in ("neurons_50", "neurons_90", "neurons_99"):
        assert marks[name] == whole[name]
    assert marks["peak"] == (table["reduction"] > 0).sum()
    assert marks["net"] == len(table)
    peak = curve.loc[curve["mark"] == "peak", "cumulative"].item()
    assert peak == pytest.approx(whole["reducing"])


def test_the_curve_of_many_neurons_has_few_points_but_its_marks():
    falling = -np.sort(-np.random.default_rng(0).standard_t(3, size=458_752))
    ranks = choose_ranks(falling)
    assert len(ranks.points) < 700
    assert set(ranks.marks.values()) <= set(ranks.points.tolist())
    assert (np.diff(ranks.points) > 0).all()
    assert ranks.points[ranks.reducing_bins] == ranks.marks["peak"] == (falling > 0).sum()


def test_a_layer_that_only_raises_has_no_share_and_no_carrying_neurons(tmp_path):
    along = np.array([[1.0, 1.0], [1.0, 2.0]])
    means = {"pre": np.ones((2, 2)), "post": np.array([[0.0, 2.0], [2.0, 2.0]])}
    table = compute_contributions(means["pre"], means["post"], along, along, along, "v1")
    # The neuron that falls to zero has no component after; it also adds nothing there.
    files = []
    for stage in ("pre", "post"):
        files.append(h5py.File(tmp_path / f"{stage}.h5", "w"))
        files[-1]["mlp_post"] = np.stack([means[stage]] * 4).astype(np.float16)
        files[-1]["mask"] = np.ones((4, 1), dtype=bool)
    falling = -np.sort(-table["reduction"].to_numpy())
    ranks = choose_ranks(falling)
    drops = resample_bins(table, *files, ranks, resamples=20, seed=1)
    by_layer, curve = add_intervals(tabulate_cancellation(table), drops, ranks, falling, 0.95)
    assert by_layer["cancelled_low"].tolist() == pytest.approx([1, np.nan, 4], nan_ok=True)
    assert by_layer["neurons_50_high"].isna().tolist() == [False, True, False]
    assert by_layer["net_high"].tolist() == pytest.approx([0, -3, -3])
    assert curve["cumulative"].tolist() == pytest.approx([0, 1, 1, 1, 1, 0, -1, -3])


def run(monkeypatch, folder, to, **changed):
    options = {
        "contributions": folder / "contributions.parquet",
        "activations-pre": folder / "pre.h5",
        "activations-post": folder / "post.h5",
        "resamples": 50,
        "level": 0.95,
        "seed": 1,
        "output": to / "layers.csv",
        "curve": to / "curve.csv",
        "neurons": to / "neurons.csv",
    } | changed
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["summarise_cancellation", *words])
    program.main()


def test_the_program_writes_three_tables(case, monkeypatch, tmp_path):
    _, folder = case
    run(monkeypatch, folder, tmp_path)
    layers = pd.read_csv(tmp_path / "layers.csv")
    assert layers["layer"].tolist() == ["0", "1", "2", "all"]
    assert pd.read_csv(tmp_path / "curve.csv")["mark"].notna().sum() == 5
    neurons = pd.read_csv(tmp_path / "neurons.csv")
    assert neurons.groupby(["layer", "side"]).size().max() == 10


def test_caches_of_another_model_are_refused(case, monkeypatch, tmp_path):
    table, folder = case
    table.head(LAYERS * WIDTH - 1).to_parquet(tmp_path / "fewer.parquet")
    with pytest.raises(InputError, match=r"pre\.h5: .*fewer\.parquet.*119 neurons"):
        run(monkeypatch, folder, tmp_path, contributions=tmp_path / "fewer.parquet")
    assert not (tmp_path / "layers.csv").exists()
