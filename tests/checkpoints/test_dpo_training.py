"""DPO with the KL term: both by hand on one batch, and their effect on a model."""

import json
import shutil
import sys

import pandas as pd
import pytest
import torch
import train_dpo
from datasets import Dataset
from safetensors.torch import load_file
from support.by_hand import forward
from trl import DPOConfig, DPOTrainer

from dpo_neurons.checkpoints.dpo_training import (
    PenalisedDPOTrainer,
    log_distributions,
    mean_divergence,
)
from dpo_neurons.checkpoints.objectives import Objective
from dpo_neurons.errors import InputError
from dpo_neurons.models.loading import load_tokenizer, load_trainable_model

pytestmark = pytest.mark.filterwarnings("ignore")
PAIRS = [
    {"prompt": f"w{n} w{n + 1}", "chosen": " w3 w4 w5", "rejected": f" w{30 - n} w8 w20 w11"}
    for n in range(8)
]
BETA = 0.1


def divergence_by_hand(reference, policy):
    """Mean over rows of the sum of p · (log p − log q), in float64."""
    p, q = (torch.softmax(one.double(), dim=-1) for one in (reference, policy))
    return (p * (p.log() - q.log())).sum(dim=-1).mean()


def divergence(reference, policy):
    return mean_divergence(log_distributions(reference), log_distributions(policy))


def test_the_mean_divergence_is_the_one_computed_by_hand():
    torch.manual_seed(0)
    reference, policy = torch.randn(2, 17, 23) * 3
    actual = divergence(reference, policy)
    torch.testing.assert_close(
        actual.double(), divergence_by_hand(reference, policy), rtol=1e-5, atol=0
    )
    assert divergence(policy, reference) != actual
    assert divergence(policy, policy) == 0


def test_shifted_logits_are_the_same_distribution():
    logits = torch.randn(5, 9)
    assert divergence(logits, logits + 7).abs() < 1e-6


def test_the_divergence_of_half_precision_is_computed_in_float32():
    torch.manual_seed(0)
    reference, policy = (torch.randn(2, 17, 23) * 3).bfloat16()
    actual = divergence(reference, policy)
    assert actual.dtype == torch.float32
    torch.testing.assert_close(
        actual.double(), divergence_by_hand(reference, policy), rtol=1e-5, atol=0
    )


@pytest.fixture(params=["gpt2", "llama"])
def first(request, checkpoints):
    return checkpoints[request.param, "pre"]


def trainer_of(kind, first, tmp_path, **named):
    policy, reference = (load_trainable_model(first, "float32") for _ in range(2))
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    settings = DPOConfig(
        output_dir=str(tmp_path),
        beta=BETA,
        per_device_train_batch_size=len(PAIRS),
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        max_length=48,
        report_to=[],
        disable_tqdm=True,
    )
    return kind(
        model=policy,
        ref_model=reference,
        args=settings,
        train_dataset=Dataset.from_list(PAIRS),
        processing_class=load_tokenizer(first),
        **({"objective": Objective("sigmoid", BETA)} if kind is PenalisedDPOTrainer else {}),
        **named,
    )


def loss_of(trainer):
    batch = next(iter(trainer.get_train_dataloader()))
    return trainer.compute_loss(trainer.model, batch)


def answers(tokenizer, model, reference):
    """For each answer of each pair, alone: its logits under both models, and its tokens."""
    for kind in ("chosen", "rejected"):
        for pair in PAIRS:
            prompt = tokenizer(pair["prompt"])["input_ids"]
            whole = tokenizer(pair["prompt"] + pair[kind])["input_ids"]
            whole.append(tokenizer.eos_token_id)  # as trl does
            logits = [forward(one, [whole])["logits"][0, :-1] for one in (model, reference)]
            read = [one[len(prompt) - 1 :] for one in logits]
            yield kind, *read, torch.tensor(whole[len(prompt) :])


def test_without_weight_the_loss_is_trls_own_and_that_of_the_paper(first, tmp_path):
    own = trainer_of(PenalisedDPOTrainer, first, tmp_path, kl_weight=0.0)
    theirs = trainer_of(DPOTrainer, first, tmp_path)
    actual = loss_of(own)
    torch.testing.assert_close(actual, loss_of(theirs), rtol=1e-6, atol=0)
    ratios = {"chosen": [], "rejected": []}
    tokenizer = load_tokenizer(first)
    for kind, policy, reference, tokens in answers(tokenizer, own.model.eval(), own.ref_model):
        picked = [
            torch.log_softmax(one.double(), dim=-1)[torch.arange(len(tokens)), tokens].sum()
            for one in (policy, reference)
        ]
        ratios[kind].append(picked[0] - picked[1])
    margins = BETA * (torch.stack(ratios["chosen"]) - torch.stack(ratios["rejected"]))
    by_hand = -torch.nn.functional.logsigmoid(margins).mean()
    torch.testing.assert_close(actual.double(), by_hand, rtol=1e-4, atol=0)


def test_the_penalty_is_the_weight_times_the_divergence_over_answer_tokens(first, tmp_path):
    plain = loss_of(trainer_of(PenalisedDPOTrainer, first, tmp_path, kl_weight=0.0))
    trainer = trainer_of(PenalisedDPOTrainer, first, tmp_path, kl_weight=0.7)
    actual = loss_of(trainer)
    read = list(answers(load_tokenizer(first), trainer.model.eval(), trainer.ref_model))
    policy, reference = (torch.cat([one[place] for one in read]) for place in (1, 2))
    assert len(policy) == 8 * (4 + 5)
    by_hand = 0.7 * divergence_by_hand(reference, policy)
    assert by_hand > 0.001
    torch.testing.assert_close((actual - plain).double(), by_hand, rtol=1e-3, atol=1e-6)


def test_the_penalty_teaches_the_policy_alone(first, tmp_path):
    trainer = trainer_of(PenalisedDPOTrainer, first, tmp_path, kl_weight=0.7)
    loss_of(trainer).backward()
    assert all(parameter.grad is not None for parameter in trainer.model.parameters())
    assert all(parameter.grad is None for parameter in trainer.ref_model.parameters())


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Run the program; returns the checkpoint's directory."""

    def run(first, name, pairs=PAIRS, **changes):
        rows = "".join(json.dumps(pair) + "\n" for pair in pairs)
        (tmp_path / "pairs.jsonl").write_text(rows)
        settings = {
            "pairs": tmp_path / "pairs.jsonl", "checkpoint": first, "dtype": "float32",
            "kind": "dpo", "loss": "sigmoid",
            "beta": BETA, "kl-weight": 0, "learning-rate": 1e-3, "warmup-steps": 0, "steps": 8,
            "batch-size": 4, "seed": 1, "device": "cpu", "threads": 1, "output": tmp_path / name,
            "source-output": tmp_path / f"{name}.json", "max-grad-norm": 1, "held-out": 0,
            "rewards": tmp_path / f"{name}.csv", **changes,
        }  # fmt: skip
        words = [f"--{key}={value}" for key, value in settings.items()]
        monkeypatch.setattr(sys, "argv", ["train_dpo", *words])
        monkeypatch.setattr(train_dpo, "obey_threads", lambda threads: None)
        train_dpo.main()
        return tmp_path / name

    return run


def distance(first, tuned):
    """Mean divergence from the first model on prompts outside the training set."""
    ids = [[4, 30, 12, 25, 7], [33, 14, 9, 21, 17], [20, 20, 5, 36, 10]]
    models = [load_trainable_model(one, "float32").eval() for one in (first, tuned)]
    logits = [forward(one, ids)["logits"] for one in models]
    return divergence_by_hand(*(one.flatten(0, 1) for one in logits))


def test_a_large_weight_keeps_the_model_near_the_first(checkpoints, program):
    first = checkpoints["llama", "pre"]
    free = distance(first, program(first, "free"))
    kept = distance(first, program(first, "kept", **{"kl-weight": 20}))
    assert free > 1e-3
    assert kept < free / 2


def test_the_chosen_answers_gain_on_the_rejected_ones(checkpoints, program):
    first = checkpoints["gpt2", "pre"]
    tuned = load_trainable_model(program(first, "tuned"), "float32").eval()
    reference = load_trainable_model(first, "float32").eval()
    gains = {"chosen": 0.0, "rejected": 0.0}
    for kind, policy, before, tokens in answers(load_tokenizer(first), tuned, reference):
        ratio = policy.log_softmax(-1) - before.log_softmax(-1)
        gains[kind] += float(ratio[torch.arange(len(tokens)), tokens].sum())
    assert gains["chosen"] > gains["rejected"] + 1


def test_bfloat16_weights_are_trained_in_float32(checkpoints, program, tmp_path):
    first = shutil.copytree(checkpoints["llama", "pre"], tmp_path / "first")
    load_trainable_model(first, "bfloat16").save_pretrained(first)
    tuned = program(first, "tuned", dtype="bfloat16", **{"learning-rate": 3e-5})
    before, after = (load_file(one / "model.safetensors") for one in (first, tuned))
    assert {tensor.dtype for tensor in after.values()} == {torch.bfloat16}
    large = moved = 0
    for name, tensor in after.items():
        # In bfloat16 a step of 3e-5 would change nothing: the next number is 1e-3 away.
        chosen = before[name].abs() > 0.25
        large += int(chosen.sum())
        moved += int((tensor != before[name])[chosen].sum())
    assert moved > large / 20


def test_all_but_the_weights_is_as_in_the_first_checkpoint(checkpoints, program, tmp_path):
    first = checkpoints["llama", "pre"]
    tuned = program(first, "tuned")
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        assert (tuned / name).read_bytes() == (first / name).read_bytes()
    assert (tuned / "config.json").read_bytes() == (first / "config.json").read_bytes()
    assert json.loads((tmp_path / "tuned.json").read_text())["kind"] == "dpo"


def test_held_out_pairs_are_measured_and_not_trained_on(checkpoints, program, tmp_path):
    first = checkpoints["gpt2", "pre"]
    seen = program(first, "seen", pairs=PAIRS[:6], steps=5)
    odd = {"prompt": "w1", "chosen": " w35 w36", "rejected": " w36 w35 w34"}
    tuned = program(first, "tuned", pairs=[*PAIRS[:6], PAIRS[7], odd], steps=5, **{"held-out": 2})
    assert (seen / "model.safetensors").read_bytes() == (tuned / "model.safetensors").read_bytes()
    rewards = pd.read_csv(tmp_path / "tuned.csv")
    held_out = rewards[rewards["pairs"] == "held_out"]
    assert held_out["step"].tolist() == [0, 1, 2, 3, 4, 5]
    assert rewards.loc[rewards["pairs"] == "tuned", "step"].tolist() == [1, 2, 3, 4, 5]
    before, after = held_out.iloc[0], held_out.iloc[-1]
    assert (before["chosen_reward"], before["rejected_reward"], before["accuracy"]) == (0, 0, 0.5)
    models = [load_trainable_model(model, "float32").eval() for model in (tuned, first)]
    tokenizer, ratios = load_tokenizer(first), []
    for pair in (PAIRS[7], odd):
        ids = tokenizer(pair["prompt"] + pair["chosen"])["input_ids"] + [tokenizer.eos_token_id]
        n_prompt = len(tokenizer(pair["prompt"])["input_ids"])
        read = [forward(model, [ids])["logits"][0, :-1].log_softmax(-1) for model in models]
        places = torch.arange(n_prompt - 1, len(ids) - 1)
        picked = [model[places, torch.tensor(ids[n_prompt:])].sum() for model in read]
        ratios.append(float(picked[0] - picked[1]))
    assert after["chosen_reward"] == pytest.approx(BETA * sum(ratios) / 2, rel=1e-4)


def test_a_collapse_is_in_the_log(checkpoints, program, caplog):
    with caplog.at_level("INFO"):
        program(checkpoints["gpt2", "pre"], "tuned", steps=30, **{"learning-rate": 0.1})
    assert "the chosen answers became improbable" in caplog.text


def test_more_held_out_pairs_than_there_are_is_told(checkpoints, program):
    with pytest.raises(InputError, match="held_out keeps 8 back"):
        program(checkpoints["gpt2", "pre"], "tuned", **{"held-out": 8})
