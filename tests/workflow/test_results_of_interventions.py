"""Results of interventions: plans, texts, scores and tables as documented, on the micro study."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.micro_results import GROUPS, PROMPTS, TOKENS, entry_of, plan_of, rows_of, written_by
from support.workflow import INTERVENTIONS, RESULTS

pytest_plugins = ["support.finished_study"]

LAST_LAYER = pd.DataFrame({"layer": [1], "neuron": [-1]})
"""The change of steering: no neuron, but the last layer's output."""


@pytest.fixture(scope="module")
def results(finished_study: Path) -> Path:
    return finished_study / RESULTS


@pytest.fixture(scope="module")
def neurons(results: Path) -> pd.DataFrame:
    return pd.read_parquet(results / "contributions/toy/probe.parquet")


@pytest.mark.parametrize("name", [name for name in INTERVENTIONS if name != "edit_assign"])
def test_a_plan_names_the_neurons_and_what_becomes_of_them(results, neurons, name) -> None:
    if name.startswith(("control_", "damp")) and not name.startswith(("control_tp", "control_all")):
        pytest.skip("drawn at random, or by a ranking: see the test below")
    plan = plan_of(results, name)
    shift = neurons["activation_post"] - neurons["activation_pre"]
    effects = pd.read_parquet(results / "rankings/toy/effect_size.parquet")["score"]
    by_effect = neurons.loc[effects.sort_values(ascending=False, kind="stable").index]
    assert list(plan.columns)[:6] == [
        "layer", "neuron", "operation", "value", "kind", "control_of"
    ]  # fmt: skip
    groups = GROUPS[:4] if name.endswith("all_four") else ["TP-"]
    by_cosine = neurons.sort_values("cosine", ascending=False)
    patched = neurons[neurons["group"].isin(groups)]
    chosen, value, operation = {
        "patch": (patched, "activation_post", "set"),
        "patch_token": (patched, 1.0, "set_token"),
        "patch_same_text": (patched, 0.5, "set_same_text"),
        "shift": (neurons.assign(shift=shift), "shift", "add"),
        "control": (patched, "activation_pre", "set"),
        "ablate": (by_cosine[:6], 0.0, "set"),
        "scale": (by_cosine[:3], 2.0, "scale_key"),
        "strip": (neurons, 1.0, "remove_direction"),
        "steer": (LAST_LAYER, 2.0, "subtract_direction"),
    }.get(name.removesuffix("_tp") if "token" in name or "same" in name else name.partition("_")[0],
          (neurons[:0], 0.0, "set"))  # fmt: skip
    if name == "ablate_changed":
        chosen = by_effect[:3]
    if "positive" in name:
        chosen = by_cosine[by_cosine["activation_pre"] > 0][:3]
    chosen = chosen.sort_values(["layer", "neuron"])
    values = chosen[value] if isinstance(value, str) else [value] * len(chosen)
    expected = [(*pair, operation) for pair in zip(chosen["layer"], chosen["neuron"], strict=True)]
    assert list(zip(plan["layer"], plan["neuron"], plan["operation"], strict=True)) == expected
    assert plan["value"].tolist() == list(values)


def test_rows_by_rankings_and_random_controls_change_what_they_should(results, neurons) -> None:
    def read(name: str) -> pd.DataFrame:
        return plan_of(results, name)

    auroc = pd.read_parquet(results / "rankings/toy/auroc.parquet")
    assert auroc["score"].between(0, 1).all()
    experts = auroc[auroc["score"] > 0.5]
    damped, permuted = read("damp_experts"), read("control_damp_experts")
    np.testing.assert_allclose(damped["value"], 2 - 2 * experts["score"])
    for first, second in ((damped, permuted), (read("shift_all"), read("control_shift_all"))):
        assert first[["layer", "neuron"]].equals(second[["layer", "neuron"]])
        assert not first["value"].equals(second["value"])
        for layer in first["layer"].unique():
            sizes = (
                p.loc[p["layer"] == layer, "value"].abs().sort_values() for p in (first, second)
            )
            np.testing.assert_allclose(*map(np.array, sizes))


def test_editing_halves_or_raises_by_half_the_means_of_half_of_each_kind(results, neurons) -> None:
    plan = plan_of(results, "edit_assign")
    assert set(plan["operation"]) == {"set"}
    rows = plan.merge(neurons, on=["layer", "neuron"])
    toxic, positive = rows["cosine"] > 0, rows["activation_pre"] >= 0
    factor = np.where(toxic == positive, 0.5, 1.5)  # TP and AN are weakened
    np.testing.assert_allclose(rows["value"], factor * rows["activation_pre"])
    kinds = [neurons["cosine"] > 0, neurons["activation_pre"] >= 0]
    sizes = neurons.groupby(kinds).size()
    assert [*rows.groupby([toxic, positive]).size()] == [size // 2 for size in sizes]


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_what_is_measured_of_an_intervention_is_in_its_files_and_its_row(results, name) -> None:
    for prompts in ("challenge_prompts", "reference_sentences"):
        written = written_by(results, name, prompts)
        asked = rows_of(results / f"data/{prompts}.jsonl")
        assert [row["prompt"] for row in written] == [row["prompt"] for row in asked]
        keys = ("intervention", "prompt", "continuation", "tokens")
        cut = ("cut",) if prompts == "challenge_prompts" else ()
        assert {tuple(row) for row in written} == {keys + cut}
        assert all(0 < len(row["tokens"]) <= TOKENS for row in written)
    scores = pd.read_parquet(results / f"scores/toy/{entry_of(name)}.parquet")
    assert list(scores.columns)[:2] == ["intervention", "toxicity"]
    scores = scores[scores["intervention"] == name]
    assert len(scores) == PROMPTS
    assert scores["toxicity"].between(0, 1).all()
    measured = json.loads((results / f"perplexity/toy/{entry_of(name)}.json").read_text())
    (perplexity,) = [row for row in measured["interventions"] if row["intervention"] == name]
    assert set(perplexity) >= {"perplexity", "log_perplexity", "tokens", "positions"}
    assert perplexity["perplexity"] == pytest.approx(np.exp(perplexity["log_perplexity"]))
    assert perplexity["positions"] == "all"
    assert perplexity["tokens"] > 500
    row = pd.read_csv(results / "tables/toy.csv").set_index("intervention").loc[name]
    assert row["checkpoint"] == ("post" if name in ("dpo", "scale_keys_x2") else "pre")
    plan = plan_of(results, name)
    assert row["neurons"] == (plan["neuron"] >= 0).sum()  # steering changes none by itself
    assert row["toxicity"] == pytest.approx(scores["toxicity"].mean())
    assert row["perplexity"] == pytest.approx(perplexity["perplexity"])
    for metric in ("toxicity", "perplexity", "f1", "repetition"):
        assert row[f"{metric}_low"] <= row[metric] + 1e-12
        assert row[metric] <= row[f"{metric}_high"] + 1e-12


def test_the_tables_have_a_row_an_intervention_and_their_columns_in_order(results: Path) -> None:
    table = pd.read_csv(results / "tables/toy.csv")
    assert " ".join(table.columns).startswith(
        "intervention kind control_of checkpoint neurons toxicity toxicity_low toxicity_high "
        "perplexity f1 repetition"
    )
    assert tuple(table["intervention"]) == INTERVENTIONS
    lines = (results / "tables/toy.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert [row[0] for row in cells] == list(table["intervention"])
    assert [int(row[2]) for row in cells] == list(table["neurons"])
    assert table["toxicity"].max() > 0
