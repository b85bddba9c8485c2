"""Supervised fine-tuning: what is learned, and from which tokens."""

import json
import sys

import pytest
import torch
import train_sft
from support.by_hand import forward

from dpo_neurons.errors import InputError
from dpo_neurons.models.loading import load_tokenizer, load_trainable_model

pytestmark = pytest.mark.filterwarnings("ignore")
ROWS = [
    {"prompt": "w1 w2 w7", "answer": "w3 w4 w5"},
    {"prompt": "w9", "answer": "w20 w21"},
    {"prompt": "w30 w2", "answer": "w8"},
    {"prompt": "w17 w12 w6 w2", "answer": "w33 w34 w35 w36"},
]


@pytest.fixture
def tune(tmp_path, monkeypatch, caplog):
    """Run the program; returns the tuned checkpoint and the losses that it logged."""

    def run(first, rows=ROWS, **changes):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "rows.jsonl").write_text(lines)
        settings = {
            "demonstrations": tmp_path / "rows.jsonl", "checkpoint": first, "dtype": "float32",
            "learning-rate": 1e-3, "warmup-steps": 0, "steps": 8, "batch-size": 4, "seed": 1,
            "max-grad-norm": 1, "device": "cpu", "threads": 1, "output": tmp_path / "post",
            "source-output": tmp_path / "post.json", **changes,
        }  # fmt: skip
        words = [f"--{key}={value}" for key, value in settings.items()]
        monkeypatch.setattr(sys, "argv", ["train_sft", *words])
        monkeypatch.setattr(train_sft, "obey_threads", lambda threads: None)
        with caplog.at_level("INFO"):
            train_sft.main()
        losses = [float(one.getMessage().split("loss ")[1]) for one in caplog.records
                  if "loss " in one.getMessage()]  # fmt: skip
        return tmp_path / "post", losses

    return run


def surprise(checkpoint, rows, part):
    """Mean −log p of the tokens of the prompts or of the answers, end-of-sequence included."""
    tokenizer, model = load_tokenizer(checkpoint), load_trainable_model(checkpoint, "float32")
    actual = []
    for row in rows:
        n_prompt = len(tokenizer(row["prompt"])["input_ids"])
        ids = tokenizer(f"{row['prompt']} {row['answer']}")["input_ids"]
        ids.append(tokenizer.eos_token_id)
        logits = forward(model.eval(), [ids])["logits"][0].double().log_softmax(-1)
        losses = -logits[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
        actual.append(losses[n_prompt - 1 :] if part == "answer" else losses[: n_prompt - 1])
    return float(torch.cat(actual).mean())


def test_the_loss_is_that_of_answers_and_their_ends_alone(checkpoints, tune):
    first = checkpoints["llama", "pre"]
    _, losses = tune(first, steps=1)
    assert losses[0] == pytest.approx(surprise(first, ROWS, "answer"), abs=2e-4)
    assert abs(losses[0] - surprise(first, ROWS, "prompt")) > 0.01


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_answers_become_likelier(checkpoints, tune, architecture):
    first = checkpoints[architecture, "pre"]
    tuned, losses = tune(first)
    assert len(losses) == 8
    assert surprise(tuned, ROWS, "answer") < surprise(first, ROWS, "answer") - 0.5


@pytest.mark.slow
def test_another_answer_to_the_same_prompt_becomes_less_likely(checkpoints, tune):
    first = checkpoints["llama", "pre"]
    tuned, _ = tune(first)
    others = [{"prompt": row["prompt"], "answer": "w13 w14"} for row in ROWS]
    assert surprise(tuned, others, "answer") > surprise(tuned, ROWS, "answer") + 1


def test_all_but_the_weights_is_as_in_the_first_checkpoint(checkpoints, tune, tmp_path):
    first = checkpoints["llama", "pre"]
    tuned, _ = tune(first, steps=1)
    for name in ("tokenizer.json", "generation_config.json", "config.json"):
        assert (tuned / name).read_bytes() == (first / name).read_bytes()
    assert json.loads((tmp_path / "post.json").read_text())["kind"] == "sft"


def test_the_same_seed_gives_the_same_weights(checkpoints, tune):
    first = checkpoints["llama", "pre"]
    weights = [(tune(first, steps=2)[0] / "model.safetensors").read_bytes() for _ in range(2)]
    assert weights[0] == weights[1]


def test_prompts_that_leave_no_room_are_refused(checkpoints, tune, tmp_path):
    with pytest.raises(InputError, match="max_tokens: in 1 tokens no prompt leaves room"):
        tune(checkpoints["llama", "pre"], **{"max-tokens": 1})
    assert not (tmp_path / "post").exists()


def test_divergence_raises_an_input_error(checkpoints, tune, tmp_path):
    with pytest.raises(InputError, match="learning_rate: training diverged"):
        tune(checkpoints["llama", "pre"], **{"learning-rate": 1e30})
    assert not (tmp_path / "post").exists()
