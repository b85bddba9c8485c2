"""Gathering measurements: values, and files that do not belong together."""

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.errors import InputError
from dpo_neurons.evaluation.outcomes import read_outcomes, read_writings
from dpo_neurons.files.json_text import write_checked_json
from dpo_neurons.files.jsonl import write_jsonl
from dpo_neurons.interventions.plans import layer_plan, make_plan, write_plans

ROWS = pd.DataFrame(
    {"intervention": ["dpo", "shift_d1", "shift_d2"], "entry": ["dpo", "shift", "shift"]}
)


def write_scores(path, rows):
    table = [(name, score) for name, scores in rows.items() for score in scores]
    scores = pd.DataFrame(table, columns=["intervention", "toxicity"])
    scores.assign(severest=9, toxicity_equal_length=scores["toxicity"] / 2).to_parquet(path)


def write_perplexity(path, rows, screened=()):
    described = [
        {
            "intervention": name,
            "window_losses": losses,
            "window_tokens": tokens,
            "screened": name in screened,
        }
        for name, (losses, tokens) in rows.items()
    ]
    write_checked_json(path, {"interventions": described})


@pytest.fixture
def results(tmp_path):
    """Results of two entries on a model "toy", on three prompts and two windows."""
    for part in ("scores", "perplexity"):
        (tmp_path / part / "toy").mkdir(parents=True)
    write_scores(tmp_path / "scores/toy/dpo.parquet", {"dpo": [0.1, 0.2, 0.3]})
    write_scores(
        tmp_path / "scores/toy/shift.parquet", {"shift_d2": [0.5, 0.6, 0.7], "shift_d1": [0, 1, 0]}
    )
    write_perplexity(tmp_path / "perplexity/toy/dpo.json", {"dpo": ([5.0, 1.0], [10, 4])})
    write_perplexity(
        tmp_path / "perplexity/toy/shift.json",
        {"shift_d2": ([6.0, 2.0], [10, 4]), "shift_d1": ([7.0, 3.0], [10, 4])},
    )
    return tmp_path


def test_outcomes_are_columns_in_the_order_asked_for(results):
    outcomes = read_outcomes(results, "toy", ROWS)
    assert outcomes.interventions == ("dpo", "shift_d1", "shift_d2")
    assert outcomes.column("shift_d1") == 1
    np.testing.assert_array_equal(outcomes.toxicity, [[0.1, 0, 0.5], [0.2, 1, 0.6], [0.3, 0, 0.7]])
    np.testing.assert_array_equal(outcomes.equal_length, outcomes.toxicity / 2)
    np.testing.assert_array_equal(outcomes.window_losses, [[5, 7, 6], [1, 3, 2]])
    np.testing.assert_array_equal(outcomes.window_tokens, [10, 4])


def test_scores_of_other_prompts_are_named(results):
    path = results / "scores/toy/shift.parquet"
    write_scores(path, {"shift_d1": [0.1, 0.2, 0.3], "shift_d2": [0.1, 0.2]})
    words = "2 scores of row shift_d2, but dpo has 3; delete it"
    with pytest.raises(InputError, match=words) as caught:
        read_outcomes(results, "toy", ROWS)
    assert str(caught.value).startswith(str(path))


def test_a_row_that_was_not_measured_is_named(results):
    write_perplexity(results / "perplexity/toy/shift.json", {"shift_d1": ([7.0, 3.0], [10, 4])})
    with pytest.raises(InputError, match="has no perplexity of row shift_d2; delete the folder"):
        read_outcomes(results, "toy", ROWS)
    write_scores(results / "scores/toy/shift.parquet", {"shift_d2": [0.1, 0.2, 0.3]})
    with pytest.raises(InputError, match="there are none of row shift_d1; delete them"):
        read_outcomes(results, "toy", ROWS)


@pytest.mark.parametrize("tokens", [[10, 5], [10], [10, 4, 3]])
def test_windows_of_another_text_are_named(results, tokens):
    path = results / "perplexity/toy/shift.json"
    other = ([1.0] * len(tokens), tokens)
    write_perplexity(path, {"shift_d1": other, "shift_d2": other})
    with pytest.raises(InputError, match="windows of row shift_d1 differ from those of dpo") as e:
        read_outcomes(results, "toy", ROWS)
    assert str(e.value).startswith(str(path))


def test_a_screened_row_has_losses_of_the_first_windows_alone(results):
    path = results / "perplexity/toy/shift.json"
    rows = {"shift_d1": ([70.0], [10]), "shift_d2": ([6.0, 2.0], [10, 4])}
    write_perplexity(path, rows, screened=["shift_d1"])
    outcomes = read_outcomes(results, "toy", ROWS)
    np.testing.assert_array_equal(outcomes.window_losses, [[5, 70, 6], [1, np.nan, 2]])
    assert outcomes.screened.tolist() == [False, True, False]
    write_perplexity(path, rows | {"shift_d1": ([70.0], [4])}, screened=["shift_d1"])
    with pytest.raises(InputError, match="windows of row shift_d1 differ from those of dpo"):
        read_outcomes(results, "toy", ROWS)


@pytest.fixture
def writing(tmp_path):
    """Read the continuations of an entry of two rows, the second with a given plan."""

    def read(plan, prompts=("a b", "c")):
        continuations = tmp_path / "generations/toy/x"
        continuations.mkdir(parents=True)
        (tmp_path / "plans/toy").mkdir(parents=True)
        challenge = [
            {"intervention": name, "prompt": "", "continuation": text, "tokens": tokens}
            for name in ("unchanged", "x")
            for text, tokens in (("p q p q", [7, 8, 7, 8]), (" ", [5]))
        ]
        write_jsonl(continuations / "challenge_prompts.jsonl", challenge)
        rows = [
            {"intervention": name, "prompt": prompt, "continuation": text}
            for name, asked in (("unchanged", ("a b", "c")), ("x", prompts))
            for prompt, text in zip(asked, ("w x", "y"), strict=True)
        ]
        write_jsonl(continuations / "reference_sentences.jsonl", rows)
        gold = [{"prompt": "a b", "gold": "w z"}, {"prompt": "c", "gold": "y"}]
        write_jsonl(tmp_path / "gold.jsonl", gold)
        write_plans(tmp_path / "plans/toy/x.parquet", {"unchanged": plan[:0], "x": plan})
        names = pd.DataFrame({"intervention": ["unchanged", "x"], "entry": "x"})
        unchanged, changed = read_writings(tmp_path, "toy", names, tmp_path / "gold.jsonl")
        assert unchanged.neurons == 0
        return changed

    return read


def test_writing_by_hand(writing):
    neurons = pd.DataFrame({"layer": [0, 0, 1], "neuron": [3, 4, 3]})
    plan = pd.concat([make_plan(neurons, "scale", 2.0), make_plan(neurons[:2], "add", 1.0)])
    written = writing(plan)
    assert written.neurons == 3
    np.testing.assert_allclose(written.repetitions, [1 / 3, 0])
    np.testing.assert_allclose(written.f1, [0.5, 1])
    assert written.lengths.tolist() == [4, 1]
    assert written.empty.tolist() == written.degenerate.tolist() == [False, True]


def test_a_whole_layer_is_no_neuron(writing):
    assert writing(layer_plan(1, "subtract_direction", 2.0)).neurons == 0


def test_continuations_of_other_references_are_named(writing):
    plan = make_plan(pd.DataFrame({"layer": [0], "neuron": [3]}), "scale", 2.0)
    with pytest.raises(InputError, match=r"reference_sentences\.jsonl: the prompts of row x"):
        writing(plan, prompts=("a b", "d"))
