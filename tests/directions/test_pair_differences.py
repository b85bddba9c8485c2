"""Components of differences between answers: NumPy's own SVD, and states of each answer alone."""

import numpy as np
import pytest
from safetensors import safe_open
from support.by_hand import streams_alone
from support.workflow import program

from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.directions.pair_differences import find_pair_components, read_pair_differences
from dpo_neurons.errors import InputError
from dpo_neurons.files.jsonl import write_jsonl

PAIRS = [
    ("w1 w5", " w9 w3", " w20"),
    ("w9", " w2", " w2 w7 w30 w4"),
    ("w3 w8 w20", " w31 w6", " w12"),
    ("w30", " w11 w4", " w13 w13"),
]
RANDOM = np.random.default_rng(3)


def differences_alone(model, tokenizer, layer, position):
    """Each pair's difference, from one forward pass of each answer without padding."""
    differences = []
    for prompt, *answers in PAIRS:
        states = []
        for answer in answers:
            stream = streams_alone(model, tokenizer, prompt + answer)[layer]
            of_answer = stream[len(prompt.split()) :]
            states.append(of_answer.mean(axis=0) if position == "mean" else of_answer[-1])
        differences.append(states[1] - states[0])
    return np.array(differences)


@pytest.mark.parametrize("position", ["mean", "last"])
def test_a_difference_is_that_of_the_answers_tokens_alone(model, tokenizer, position):
    actual = read_pair_differences(model, tokenizer, PAIRS, 3, 1, position)
    expected = differences_alone(model, tokenizer, 1, position)
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_components_are_singular_vectors_towards_the_rejected_answers():
    differences = RANDOM.normal(size=(12, 5)) + 0.5
    with_equal_answers = np.vstack([differences, np.zeros((2, 5))])
    components, n_pairs = find_pair_components(with_equal_answers, 3)
    unit = differences / np.linalg.norm(differences, axis=1, keepdims=True)
    _, singular_values, rows = np.linalg.svd(unit)
    np.testing.assert_allclose(components.singular_values, singular_values[:3])
    np.testing.assert_allclose(np.abs(components.rows), np.abs(rows[:3]), atol=1e-9)
    assert (components.rows @ differences.mean(axis=0) > 0).all()
    assert n_pairs == 12


def test_pairs_without_room_or_difference_are_told(gpt2, tokenizer):
    long = ("w1 " * 60, "w2", "w3")
    with pytest.raises(InputError, match=r"an answer of pair 2, .* beyond the 48 tokens"):
        read_pair_differences(gpt2, tokenizer, [PAIRS[0], long], 2, 0, "mean")
    with pytest.raises(InputError, match="no token of an answer of pair 1, which is empty"):
        read_pair_differences(gpt2, tokenizer, [("w1", "", "w3")], 2, 0, "mean")
    with pytest.raises(InputError, match="reads preferred and rejected answers alike"):
        find_pair_components(np.zeros((3, 4)), 1)
    with pytest.raises(InputError, match="2 pairs span 2 dimensions, so they have no 3 components"):
        find_pair_components(RANDOM.normal(size=(2, 4)), 3)


def test_the_program_writes_the_components_of_the_first_checkpoint(
    checkpoints, loaded, tokenizer, tmp_path
):
    keys = ("prompt", "chosen", "rejected")
    rows = [dict(zip(keys, map(str.strip, pair), strict=True)) for pair in PAIRS]
    write_jsonl(tmp_path / "pairs.jsonl", rows)
    output = tmp_path / "pairs.safetensors"
    run = program(
        "compute_pair_svd",
        f"--checkpoint {checkpoints['gpt2', 'pre']} --pairs {tmp_path / 'pairs.jsonl'}"
        " --components 2 --layer last --position last --dtype float32 --attention default"
        f" --batch-size 4 --device cpu --threads 1 --output {output}",
    )
    assert run.returncode == 0, run.stdout
    differences = differences_alone(loaded("gpt2"), tokenizer, -1, "last")
    components, _ = find_pair_components(differences, 2)
    np.testing.assert_allclose(read_direction(output), components.rows, atol=1e-4)
    with safe_open(output, framework="np") as stored:
        how = stored.metadata()
    assert (how["kind"], how["layer"], how["pairs"]) == ("pair_svd", "1", "4")
