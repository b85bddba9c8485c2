"""Memory and minutes that jobs ask for, by hand."""

import json

import pytest

from dpo_neurons.models import batches
from dpo_neurons.running import job_costs
from dpo_neurons.running.job_costs import (
    LEAST_MINUTES,
    activations_mb,
    captured_mb,
    count_rows,
    count_tokens,
    count_weights,
    keys_values_mb,
    reading_minutes,
    window_logits_mb,
)


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint of two million weights in bfloat16, with a vocabulary of 100,000."""

    def write(**described):
        (tmp_path / "model.safetensors").write_bytes(bytes(4_000_000))
        described = {"dtype": "bfloat16", "vocab_size": 100_000, **described}
        (tmp_path / "config.json").write_text(json.dumps(described))
        return str(tmp_path)

    return write


def test_texts_are_batched_as_models_read_them():
    assert batches.TOKENS_AT_ONCE["cpu"] == job_costs.TOKENS_AT_ONCE
    assert batches.AUTOMATIC["cpu"] == job_costs.BATCH_ON_CPU
    assert batches.CONTINUED_ON_CPU == job_costs.CONTINUED_ON_CPU


@pytest.mark.parametrize(
    ("window", "dtype", "megabytes"),
    [
        # Logits of a window take 400 MB in float32: two references, logits, log-probabilities.
        (1000, "float32", 4 * 400),
        (1000, "float64", 4 * 800),
        # In 2 bytes: the same, of which the logits half, and the logits widened.
        (1000, "bfloat16", 2 * 400 + 200 + 2 * 400),
        # Four windows at once, whose log-probabilities are made one by one.
        (250, "float32", 3 * 4 * 100 + 100),
        # A reference's log-probabilities of all four are made from all, widened.
        (250, "bfloat16", 2 * 4 * 100 + 4 * 50 + 4 * 100),
        (4000, "float16", 2 * 1600 + 800 + 2 * 1600),
    ],
)
def test_the_logits_of_windows(checkpoint, window, dtype, megabytes):
    assert window_logits_mb(checkpoint(), window, dtype) == megabytes


def test_bounded_logits_are_copied(checkpoint):
    bounded = checkpoint(final_logit_softcapping=30.0)
    assert window_logits_mb(bounded, 250, "float32") == 2 * 4 * 100 + 2 * 4 * 100


@pytest.mark.parametrize(
    ("described", "kept"),
    [
        ({"n_embd": 1000, "n_layer": 10, "n_head": 20}, 2 * 10 * 1000),
        # Of 20 heads, 4 have keys and values of their own.
        ({"hidden_size": 1000, "num_hidden_layers": 10, "num_attention_heads": 20,
          "num_key_value_heads": 4}, 2 * 10 * 4 * 50),
        ({"hidden_size": 1000, "num_hidden_layers": 10, "num_attention_heads": 20,
          "num_key_value_heads": 4, "head_dim": 100}, 2 * 10 * 4 * 100),
    ],
)  # fmt: skip
def test_what_is_read_at_once_takes_memory_by_the_width(checkpoint, described, kept):
    folder = checkpoint(**described)
    assert keys_values_mb(folder, 1000, "float32") == kept * 4 * 1000 / 1e6
    assert activations_mb(folder, 1000, "bfloat16") == 16 * 1000 * 2 * 1000 / 1e6
    # Sums of 10 layers, in float32.
    assert captured_mb(folder, 1000) == 16 * 1000 * 10 * 4 * 1000 / 1e6


def test_a_checkpoint_that_is_not_made_takes_nothing(tmp_path):
    missing = str(tmp_path / "missing")
    assert activations_mb(missing, 1000, "float32") == keys_values_mb(missing, 1000, "float32") == 0
    assert captured_mb(missing, 1000) == count_weights(missing) == 0
    assert window_logits_mb(missing, 1000, "float32") == 0


def test_reading_takes_two_operations_a_weight_and_token(checkpoint):
    weights = count_weights(checkpoint())
    assert weights == 2_000_000
    # 4 × 10⁶ operations a token, on 2 threads of 60 × 10⁹ a second each, three times as slow.
    minutes = 3 * 4e6 * 6e9 / 120e9 / 60
    assert reading_minutes(weights, 6e9, "float32", 2, 0) == LEAST_MINUTES + minutes
    assert reading_minutes(weights, 6e9, "float32", 2, 1) < reading_minutes(
        weights, 6e9, "float32", 16, 0
    )
    assert reading_minutes(0, 6e9, "float32", 2, 0) == LEAST_MINUTES


def test_texts_are_counted_by_lines_and_bytes(tmp_path):
    path = tmp_path / "prompts.jsonl"
    assert (count_rows(str(path)), count_tokens(str(path))) == (0, 0)
    path.write_text('{"prompt": "a"}\n{"prompt": "bc"}\n')
    assert (count_rows(str(path)), count_tokens(str(path))) == (2, 33 // 4)
