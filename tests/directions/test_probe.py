"""The probe's states and its regression."""

import numpy as np
import pytest
import torch
from safetensors import safe_open
from support.by_hand import hooks_left, stack
from support.tiny_models import PROMPTS
from support.workflow import program

from dpo_neurons.directions.probe import train_probe
from dpo_neurons.directions.text_states import read_resid_post
from dpo_neurons.errors import InputError
from dpo_neurons.files.jsonl import write_jsonl
from dpo_neurons.models.generation import generate_greedily


def stream_alone(model, tokenizer, text):
    """Mean of the residual stream after the last block, one text without padding."""
    with torch.no_grad():
        states = []
        hook = stack(model)[-1].register_forward_hook(
            lambda _, x, y: states.append(y[0] if isinstance(y, tuple) else y)
        )
        model(input_ids=torch.tensor([tokenizer(text)["input_ids"]]))
        hook.remove()
        return states[0][0].mean(dim=0).numpy()


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_states_are_means_over_each_texts_own_tokens(model, tokenizer, batch_size):
    states = read_resid_post(model, tokenizer, PROMPTS, batch_size)[:, 0]
    assert states.shape == (len(PROMPTS), 16)
    expected = np.stack([stream_alone(model, tokenizer, prompt) for prompt in PROMPTS])
    np.testing.assert_allclose(states, expected, atol=1e-5)
    assert hooks_left(model) == 0


def test_states_are_those_before_the_final_norm(model, tokenizer):
    state = torch.tensor(read_resid_post(model, tokenizer, ["w7"], 1)[:, 0], dtype=torch.float32)
    inner = getattr(model.base_model, "decoder", model.base_model)
    names = ("ln_f", "norm", "final_layer_norm", "final_layernorm")
    norm = next(getattr(inner, name) for name in names if hasattr(inner, name))
    with torch.no_grad():
        normed = model.base_model(input_ids=torch.tensor([[10]])).last_hidden_state[0]
        torch.testing.assert_close(norm(state), normed, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(state, normed, atol=0.1)


def test_texts_longer_than_the_model_reads_are_cut(gpt2, tokenizer):
    long = " ".join(["w1 w2 w3 w4"] * 20)
    cut = " ".join(long.split()[:48])
    states = read_resid_post(gpt2, tokenizer, [long, cut], 2)[:, 0]
    np.testing.assert_allclose(states[0], states[1], atol=1e-6)


def test_texts_are_cut_where_the_study_says(gpt2, tokenizer):
    cut = read_resid_post(gpt2, tokenizer, ["w1 w2 w3 w4", "w5"], 2, max_tokens=2)
    np.testing.assert_allclose(cut, read_resid_post(gpt2, tokenizer, ["w1 w2", "w5"], 2), atol=1e-6)


def test_generation_after_the_probe_still_pads_on_the_left(gpt2, tokenizer):
    before = next(generate_greedily(gpt2, tokenizer, PROMPTS, 4, 16)).tokens
    read_resid_post(gpt2, tokenizer, PROMPTS, 16)[:, 0]
    after = next(generate_greedily(gpt2, tokenizer, PROMPTS, 4, 16)).tokens
    np.testing.assert_array_equal(before, after)


def separable(n, d=6):
    random = np.random.default_rng(1)
    labels = np.arange(n) % 2
    axis = np.zeros(d)
    axis[2] = 1
    return random.normal(size=(n, d)) * 0.2 + np.outer(labels * 2 - 1, axis), labels


def test_a_probe_finds_the_axis_that_separates():
    probe = train_probe(*separable(200), validation_share=0.1, seed=3)
    assert probe.training_accuracy == probe.validation_accuracy == 1.0
    assert probe.validation_rows == 20
    assert probe.weight[2] / np.linalg.norm(probe.weight) > 0.95
    states, labels = separable(200)
    assert train_probe(states, 1 - labels, 0.1, 3).weight[2] < 0


def test_validation_rows_are_held_out_and_stratified():
    random = np.random.default_rng(0)
    states, labels = random.normal(size=(60, 50)), np.arange(60) % 2
    probe = train_probe(states, labels, validation_share=0.5, seed=3)
    assert probe.training_accuracy == 1.0  # 50 dimensions fit 30 random labels
    assert probe.validation_accuracy < 0.8
    assert probe.validation_rows == 30


def test_the_interval_is_wilsons_and_a_probe_says_what_is_wrong_with_it():
    random = np.random.default_rng(0)
    states, labels = random.normal(size=(60, 50)), np.arange(60) % 2
    guessing = train_probe(states, labels, validation_share=0.5, seed=3)
    n, share, z = 30, guessing.validation_accuracy, 1.959964
    centre, half = share + z**2 / (2 * n), z * np.sqrt(share * (1 - share) / n + (z / n) ** 2 / 4)
    bounds = [(centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)]
    np.testing.assert_allclose([guessing.validation_low, guessing.validation_high], bounds, 1e-5)
    assert guessing.majority == 0.5
    assert "no better than guessing the frequent label" in guessing.describe()

    axis = np.outer(labels * 2 - 1, np.eye(50)[0])
    overfitted = train_probe(random.normal(size=(60, 50)) + axis, labels, 0.5, seed=3)
    assert overfitted.training_accuracy == 1
    assert "it has overfitted; give more comments" in overfitted.describe()
    good = train_probe(*separable(200), validation_share=0.1, seed=3)
    assert good.describe().endswith("training accuracy 1.000")


def test_less_regularisation_makes_larger_weights():
    states, labels = separable(60)
    lengths = [
        np.linalg.norm(train_probe(states, labels, 0.1, 3, "toxic", c).weight) for c in (0.01, 1)
    ]
    assert lengths[0] < lengths[1] / 5


def test_the_same_seed_makes_the_same_probe():
    states, labels = np.random.default_rng(0).normal(size=(40, 5)), np.arange(40) % 2
    one, two, other = (train_probe(states, labels, 0.25, seed).weight for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize("labels", [[0] * 8, [1] * 8, [1] + [0] * 7])
def test_comments_of_one_kind_are_refused(labels):
    with pytest.raises(InputError, match=rf"{sum(labels)} toxic and {8 - sum(labels)} other"):
        train_probe(np.eye(8), np.array(labels), 0.25, 1)


def test_the_label_that_is_rare_is_named():
    with pytest.raises(InputError, match="1 insult and 7 other"):
        train_probe(np.eye(8), np.arange(8) == 0, 0.25, 1, "insult")


@pytest.mark.parametrize("n", [4, 8])
def test_too_few_comments_to_split_are_refused(n):
    with pytest.raises(InputError, match="labelled_comments"):
        train_probe(np.eye(n), np.arange(n) % 2, validation_share=0.1, seed=1)


@pytest.mark.slow
def test_a_probe_is_of_the_label_asked_for(checkpoints, tmp_path):
    # Even comments insult and odd ones threaten.
    comments = [
        {"text": "w1 w2" if n % 2 else "w30 w11", "toxic": 1 if n < 9 else 0,
         "insult": 1 - n % 2, "threat": n % 2}
        for n in range(40)
    ]  # fmt: skip
    write_jsonl(tmp_path / "comments.jsonl", comments)

    def direction(label):
        result = program(
            "train_probe",
            f"--checkpoint {checkpoints['gpt2', 'pre']} --comments {tmp_path}/comments.jsonl"
            f" --label {label} --validation-share 0.2 --inverse-regularisation 1 --seed 1"
            f" --dtype float32 --attention default --batch-size 8 --device cpu --threads 1"
            f" --max-tokens 2 --output {tmp_path}/{label}.safetensors",
        )
        assert result.returncode == (label == "menace"), result.stdout
        return result.stdout.splitlines()[-1]

    directions = {}
    for label in ("insult", "threat"):
        direction(label)
        with safe_open(tmp_path / f"{label}.safetensors", "np") as file:
            directions[label] = file.get_tensor("direction")[0]
            assert file.metadata()["label"] == label
            assert file.metadata()["validation_accuracy"] == "1.000000"
    np.testing.assert_allclose(directions["insult"], -directions["threat"], atol=1e-4)
    assert 'line 1: needs the key "menace" with a number between 0 and 1' in direction("menace")
