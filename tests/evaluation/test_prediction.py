"""Predicted reductions of every operation by hand, and their correlation with measurements."""

import sys

import numpy as np
import pandas as pd
import predict_toxicity
import pytest
from scipy import stats
from transformers import GPT2Config, GPT2LMHeadModel

from dpo_neurons.directions.direction_files import write_direction
from dpo_neurons.errors import InputError
from dpo_neurons.evaluation.prediction import (
    correlate_effects,
    predict_effects,
)
from dpo_neurons.files.tables import write_table
from dpo_neurons.interventions.direct_effect import predict_reduction
from dpo_neurons.interventions.operations import OPERATIONS
from dpo_neurons.interventions.plans import empty_plan, layer_plan, make_plan, write_plans
from dpo_neurons.neurons.contributions import compute_contributions

# Two layers of two neurons; the last never fires before, which hides its component in a table.
ALONG = np.array([[2.0, -1.0], [3.0, 5.0]])
BEFORE = np.array([[1.0, -2.0], [0.5, 0.0]])
AFTER = np.array([[0.25, -1.0], [0.5, 0.4]])
TABLE = compute_contributions(BEFORE, AFTER, ALONG, ALONG * 2, np.abs(ALONG), "v1")
NEURONS = pd.DataFrame({"layer": [0, 0, 1, 1], "neuron": [0, 1, 0, 1]})


def plan(neurons, operation, values):
    """An operation on neurons, given by their indices in NEURONS."""
    return make_plan(NEURONS.iloc[neurons], operation, pd.Series(values, index=neurons))


@pytest.mark.parametrize(
    ("operation", "values", "wanted"),
    [
        # Components 2, −1, 3, 5 times the fall of each activation.
        ("set", [0.5, -1.0, 0.25, 0.1], 2 * 0.5 + 1 * 1.0 + 3 * 0.25 - 5 * 0.1),
        ("scale", [0.5, 3.0, 0.0, 9.0], 2 * 0.5 - 1 * 4.0 + 3 * 0.5 + 0),
        ("add", [1.0, 1.0, -1.0, 1.0], -2 + 1 + 3 - 5),
        ("set_prompt_mean", [1.0] * 4, 2 * 0.75 + 1 * 1.0 + 0 - 5 * 0.4),
        ("set_token", [1.0] * 4, 2 * 0.75 + 1 * 1.0 + 0 - 5 * 0.4),
        ("remove_direction", [1.0, 0.5, 0.5, 1.0], 2 * 1.0 + 0.5 * 2.0 + 0.5 * 1.5 + 0),
    ],
)
def test_a_plan_for_all_neurons_by_hand(operation, values, wanted):
    found = predict_reduction(plan([0, 1, 2, 3], operation, values), TABLE, ALONG)
    assert found == pytest.approx(wanted)


def test_neurons_outside_the_plan_count_nothing():
    assert predict_reduction(plan([2], "set", [0.0]), TABLE, ALONG) == pytest.approx(1.5)
    assert predict_reduction(empty_plan(), TABLE, ALONG) == 0


def test_subtracting_the_direction_predicts_what_is_subtracted():
    assert predict_reduction(layer_plan(1, "subtract_direction", 7.5), TABLE, ALONG) == 7.5


def test_behind_a_norm_what_is_subtracted_has_another_unit():
    behind = {"norm_after_mlp": True}
    assert np.isnan(
        predict_reduction(layer_plan(1, "subtract_direction", 7.5), TABLE, ALONG, **behind)
    )
    assert predict_reduction(plan([2], "set", [0.0]), TABLE, ALONG, **behind) == pytest.approx(1.5)


def test_operations_on_activation_and_value_of_one_neuron_are_not_added_up():
    both = pd.concat([plan([0], "scale", [0.5]), plan([0], "remove_direction", [0.5])])
    # 1 × 2 before, 0.5 × 1 after.
    assert predict_reduction(both, TABLE, ALONG) == pytest.approx(1.5)


def test_scaled_keys_have_no_prediction():
    mixed = pd.concat([plan([0], "set", [0.0]), plan([1], "scale_key", [5.0])])
    assert np.isnan(predict_reduction(mixed, TABLE, ALONG))


def test_every_operation_is_known_and_no_other():
    for operation in OPERATIONS:
        predict_reduction(plan([0], operation, [1.0]), TABLE, ALONG)
    with pytest.raises(KeyError, match="rotate"):
        predict_reduction(plan([0], "rotate", [1.0]), TABLE, ALONG)


def test_patching_all_neurons_predicts_the_reduction_where_values_stay():
    table = compute_contributions(BEFORE, AFTER, ALONG, ALONG, np.abs(ALONG), "v1")
    patch = plan([0, 1, 2, 3], "set", AFTER.ravel())
    found = predict_reduction(patch, table, ALONG)
    assert found == pytest.approx(table["reduction"].sum())


MEASURED = pd.DataFrame(
    {
        "intervention": ["none", "dpo", "patch_a", "control_a", "scale_keys_x2", "elsewhere"],
        "kind": ["none", "dpo", "patch", "control", "scale_keys", "patch"],
        "control_of": ["", "", "", "patch_a", "", ""],
        "checkpoint": ["pre", "post", "pre", "pre", "post", "pre"],
        "neurons": [0, 0, 2, 2, 2, 1],
        "toxicity": [0.5, 0.2, 0.35, 0.55, 0.4, 0.1],
        "toxicity_low": [0.4, 0.1, 0.3, 0.45, 0.3, 0.0],
        "toxicity_high": [0.6, 0.3, 0.4, 0.65, 0.5, 0.2],
        "no_longer_writes": False,
    }
)
PLANS = {
    "none": empty_plan(),
    "dpo": empty_plan(),
    "patch_a": plan([0, 1], "set_prompt_mean", [1.0, 1.0]),
    "control_a": plan([0, 1], "set_prompt_mean", [1.0, 1.0]),
    "scale_keys_x2": plan([0, 1], "scale_key", [2.0, 2.0]),
}


def test_predicted_stands_beside_measured_for_the_rows_with_a_plan():
    data = predict_effects(MEASURED, PLANS, TABLE, ALONG).set_index("intervention")
    assert list(data.index) == list(PLANS), "the rows of another direction are left out"
    # dpo: projections 2, 2, 1.5, 0 before; 1, 2, 3, 4 after. The control gets its own activations.
    wanted = [0, -4.5, 2.5, 0, np.nan]
    assert data["predicted"].tolist() == pytest.approx(wanted, nan_ok=True)
    assert data["measured"].tolist() == pytest.approx([0, 0.3, 0.15, -0.05, 0.1])
    assert data["measured_low"].tolist() == pytest.approx([-0.1, 0.2, 0.1, -0.15, 0])
    assert data["measured_high"].tolist() == pytest.approx([0.1, 0.4, 0.2, 0.05, 0.2])


def test_a_model_that_no_longer_writes_has_no_measured_effect():
    broken = MEASURED.assign(no_longer_writes=MEASURED["intervention"] == "control_a")
    data = predict_effects(broken, PLANS, TABLE, ALONG).set_index("intervention")
    assert np.isnan(data["measured"]).to_dict() == {name: name == "control_a" for name in PLANS}
    assert np.isfinite(data.loc["control_a", "predicted"])


def test_a_plan_on_the_second_checkpoint_has_no_prediction():
    table = MEASURED.assign(checkpoint="post")
    data = predict_effects(table, {"patch_a": PLANS["patch_a"]}, TABLE, ALONG)
    assert data["predicted"].isna().all()


def test_a_table_without_its_reference_is_a_bug():
    with pytest.raises(ValueError, match="none"):
        predict_effects(MEASURED.iloc[1:], PLANS, TABLE, ALONG)


def pairs(predicted, measured):
    names = ["none", *(f"patch_{i}" for i in range(len(predicted)))]
    return pd.DataFrame(
        {"intervention": names, "predicted": [0.0, *predicted], "measured": [0.0, *measured]}
    )


def scores_of(data, n_prompts=40, noise=0.0):
    """Toxicity of each prompt and row, whose falls scatter around what was measured."""
    random = np.random.default_rng(3)
    scatter = noise * random.normal(size=(n_prompts, len(data)))
    return pd.DataFrame(0.5 - data["measured"].to_numpy() + scatter, columns=data["intervention"])


PREDICTED = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 1000.0])
SWAPPED = np.array([2, 1, 3, 4, 5, 6, 7, 8, 9, 9.5]) / 20


def test_the_rank_correlation_by_hand():
    # Zeros by construction, one but for rounding, and a row without a prediction do not count.
    data = pairs([*PREDICTED, 0, 1e-12, np.nan], [*SWAPPED, 0.4, -0.4, 7])
    correlations = correlate_effects(data, scores_of(data), resamples=50, level=0.9, seed=1)
    assert correlations["interventions"].tolist() == [10]
    # One pair of neighbours is swapped: 1 − 6 · 2 / (n (n² − 1)).
    assert correlations["value"].tolist() == pytest.approx([1 - 12 / 990])
    same = [correlations["value"][0]] * 2
    assert correlations[["low", "high"]].to_numpy()[0].tolist() == pytest.approx(same)


def test_tied_ranks_share_their_mean():
    tied = np.append(PREDICTED[1], PREDICTED[1:])
    data = pairs(tied, SWAPPED)
    value = correlate_effects(data, scores_of(data), 10, 0.9, 1)["value"][0]
    assert value == pytest.approx(stats.spearmanr(tied, SWAPPED).statistic)


def test_the_interval_resamples_prompts():
    random = np.random.default_rng(0)
    predicted = random.normal(size=12)
    data = pairs(predicted, 0.02 * predicted)
    toxicity = scores_of(data, 50, noise=0.1)
    data["measured"] = toxicity["none"].mean() - toxicity.mean().to_numpy()
    correlations = correlate_effects(data, toxicity, resamples=3000, level=0.9, seed=1)
    falls = (toxicity["none"].to_numpy()[:, None] - toxicity.to_numpy())[:, 1:]
    drawn = random.integers(50, size=(1500, 50))
    long_way = [stats.spearmanr(predicted, falls[rows].mean(axis=0)).statistic for rows in drawn]
    expected = np.quantile(long_way, [0.05, 0.95])
    assert correlations[["low", "high"]].to_numpy()[0] == pytest.approx(expected, abs=0.04)


@pytest.mark.parametrize(
    "few", [pairs([], []), pairs(PREDICTED[:9], SWAPPED[:9]), pairs([0.1] * 12, range(12))]
)
def test_too_few_or_constant_rows_have_no_correlation(few):
    correlations = correlate_effects(few, scores_of(few), resamples=20, level=0.95, seed=1)
    assert correlations[["value", "low", "high"]].isna().all(axis=None)


@pytest.fixture
def files(tmp_path):
    """A checkpoint of one layer of eight neurons, and the other input files."""
    config = GPT2Config(n_layer=1, n_embd=4, n_head=1, n_inner=8, vocab_size=9, n_positions=8)
    model = GPT2LMHeadModel(config)
    model.save_pretrained(tmp_path / "pre")
    direction = np.array([[3.0, 0, 4.0, 0]])
    write_direction(tmp_path / "direction.safetensors", direction, {})
    values = model.transformer.h[0].mlp.c_proj.weight.detach().numpy()
    along = (values @ np.array([0.6, 0, 0.8, 0]))[None]
    activations = np.zeros((1, 8)), np.ones((1, 8))
    table = compute_contributions(*activations, along, along, np.ones((1, 8)), "v1")
    table.to_parquet(tmp_path / "contributions.parquet", index=False)
    neurons = pd.DataFrame({"layer": 0, "neuron": range(8)})
    write_plans(tmp_path / "none.parquet", {"none": empty_plan()})
    patch = make_plan(neurons, "set", 1.5)
    write_plans(tmp_path / "patch.parquet", {"patch_x1.5": patch})
    measured = MEASURED.head(2).assign(intervention=["none", "patch_x1.5"], checkpoint="pre")
    measured.to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "scores").mkdir()
    for entry, name in (("none", "none"), ("patch", "patch_x1.5")):
        scores = pd.DataFrame({"intervention": name, "toxicity": [0.5, 0.3]})
        write_table(tmp_path / f"scores/{entry}.parquet", scores)
    return tmp_path, along


def run(monkeypatch, folder):
    options = {
        "table": ["table.csv"],
        "plans": ["none.parquet", "patch.parquet"],
        "scores": ["scores/none.parquet", "scores/patch.parquet"],
        "contributions": ["contributions.parquet"],
        "checkpoint-pre": ["pre"],
        "direction": ["direction.safetensors"],
        "output": ["prediction.csv"],
        "correlations": ["correlations.csv"],
    }
    words = ["--resamples", "10", "--level", "0.9", "--seed", "1"]
    for name, paths in options.items():
        words += [f"--{name}", *(str(folder / path) for path in paths)]
    monkeypatch.setattr(sys, "argv", ["predict_toxicity", *words])
    predict_toxicity.main()


def test_the_program_reads_components_from_the_checkpoint(files, monkeypatch):
    folder, along = files
    run(monkeypatch, folder)
    data = pd.read_csv(folder / "prediction.csv").set_index("intervention")
    # All activations before are zero, so the contributions alone predict zero.
    assert data.loc["patch_x1.5", "predicted"] == pytest.approx(-1.5 * along.sum(), rel=1e-5)
    assert data.loc["patch_x1.5", "measured"] == pytest.approx(0.3)
    assert pd.read_csv(folder / "correlations.csv")["value"].isna().all()


def test_files_that_do_not_fit_are_named(files, monkeypatch):
    folder, _ = files
    MEASURED.iloc[1:].to_csv(folder / "table.csv", index=False)
    with pytest.raises(InputError, match=r"table\.csv.*'none'"):
        run(monkeypatch, folder)
    TABLE.to_parquet(folder / "contributions.parquet", index=False)
    with pytest.raises(InputError, match=r"contributions\.parquet.*4 neurons.*8"):
        run(monkeypatch, folder)
    assert not (folder / "prediction.csv").exists()
