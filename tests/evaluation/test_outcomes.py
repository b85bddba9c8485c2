"""Gathering measurements: values, and files that do not belong together."""

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.errors import InputError
from dpo_neurons.evaluation.outcomes import read_outcomes, read_writing
from dpo_neurons.files.json_text import write_checked_json
from dpo_neurons.files.jsonl import write_jsonl
from dpo_neurons.interventions.plans import make_plan, subtraction_plan, write_plan


@pytest.fixture
def results(tmp_path):
    """Results of two interventions on a model "toy", on three prompts and two windows."""
    for number, name in enumerate(["none", "dpo"]):
        for part in ("scores", "perplexity"):
            (tmp_path / part / "toy").mkdir(parents=True, exist_ok=True)
        scores = pd.DataFrame({"toxicity": [0.1, 0.2, 0.3 + number], "severest": [9, 9, 9]})
        scores.to_parquet(tmp_path / f"scores/toy/{name}.parquet")
        measured = {"window_losses": [5.0, 1.0 + number], "window_tokens": [10, 4]}
        write_checked_json(tmp_path / f"perplexity/toy/{name}.json", measured)
    return tmp_path


def test_outcomes_are_columns_in_the_order_asked_for(results):
    outcomes = read_outcomes(results, "toy", ["dpo", "none"])
    assert outcomes.interventions == ("dpo", "none")
    assert outcomes.column("none") == 1
    np.testing.assert_array_equal(outcomes.toxicity, [[0.1, 0.1], [0.2, 0.2], [1.3, 0.3]])
    np.testing.assert_array_equal(outcomes.window_losses, [[5, 5], [2, 1]])
    np.testing.assert_array_equal(outcomes.window_tokens, [10, 4])


def test_scores_of_other_prompts_are_named(results):
    path = results / "scores/toy/dpo.parquet"
    pd.DataFrame({"toxicity": [0.1, 0.2]}).to_parquet(path)
    with pytest.raises(InputError, match="2 rows, but none has 3; delete it") as caught:
        read_outcomes(results, "toy", ["none", "dpo"])
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("tokens", [[10, 5], [10], [10, 4, 3]])
def test_windows_of_another_text_are_named(results, tokens):
    path = results / "perplexity/toy/dpo.json"
    measured = {"window_losses": [1.0] * len(tokens), "window_tokens": tokens}
    write_checked_json(path, measured)
    with pytest.raises(InputError, match="its windows differ from those of none") as caught:
        read_outcomes(results, "toy", ["none", "dpo"])
    assert str(caught.value).startswith(str(path))


@pytest.fixture
def writing(tmp_path):
    """Read one intervention's continuations, with a given plan."""

    def read(plan, prompts=("a b", "c")):
        continuations = tmp_path / "generations/toy/x"
        continuations.mkdir(parents=True)
        (tmp_path / "plans/toy").mkdir(parents=True)
        challenge = [
            {"continuation": text, "tokens": tokens}
            for text, tokens in (("p q p q", [7, 8, 7, 8]), (" ", [5]))
        ]
        write_jsonl(continuations / "challenge_prompts.jsonl", challenge)
        written = zip(prompts, ("w x", "y"), strict=True)
        rows = [{"prompt": prompt, "continuation": text} for prompt, text in written]
        write_jsonl(continuations / "reference_sentences.jsonl", rows)
        gold = [{"prompt": "a b", "gold": "w z"}, {"prompt": "c", "gold": "y"}]
        write_jsonl(tmp_path / "gold.jsonl", gold)
        write_plan(tmp_path / "plans/toy/x.parquet", plan)
        return read_writing(tmp_path, "toy", "x", tmp_path / "gold.jsonl")

    return read


def test_writing_by_hand(writing):
    neurons = pd.DataFrame({"layer": [0, 0, 1], "neuron": [3, 4, 3]})
    plan = pd.concat([make_plan(neurons, "scale", 2.0), make_plan(neurons[:2], "add", 1.0)])
    found = writing(plan)
    assert found.neurons == 3
    np.testing.assert_allclose(found.repetitions, [1 / 3, 0])
    np.testing.assert_allclose(found.f1, [0.5, 1])
    assert found.lengths.tolist() == [4, 1]
    assert found.empty.tolist() == found.degenerate.tolist() == [False, True]


def test_a_whole_layer_is_no_neuron(writing):
    assert writing(subtraction_plan(1, 2.0)).neurons == 0


def test_continuations_of_other_references_are_named(writing):
    plan = make_plan(pd.DataFrame({"layer": [0], "neuron": [3]}), "scale", 2.0)
    with pytest.raises(InputError, match=r"reference_sentences\.jsonl: its prompts differ"):
        writing(plan, prompts=("a b", "d"))
