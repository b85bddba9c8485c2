"""Each objective on one batch of a tiny model: by hand, and as trl's own trainers compute it."""

from math import exp, log
from types import SimpleNamespace

import pytest
import torch
import yaml
from datasets import Dataset
from support.by_hand import forward
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer

from dpo_neurons.checkpoints.dpo_training import PenalisedDPOTrainer
from dpo_neurons.checkpoints.objectives import LOSSES, Objective
from dpo_neurons.models.loading import load_tokenizer, load_trainable_model
from dpo_neurons.study.schema import SCHEMA
from dpo_neurons.study.study import TUNED_ON_PAIRS

pytestmark = pytest.mark.filterwarnings("ignore")
PAIRS = [
    {"prompt": "w1 w2", "chosen": " w3 w4 w5", "rejected": " w30 w8"},
    {"prompt": "w7", "chosen": " w9 w9", "rejected": " w20 w11 w4 w6"},
    {"prompt": "w5 w4 w3", "chosen": " w12", "rejected": " w13 w14"},
]
N = len(PAIRS)
BETA, SHARE, GAMMA, WEIGHTS = 0.3, 0.1, 0.7, (1.2, 0.8)
QUICK = ("sigmoid", "kto")
"""Those of `make test-fast`: of pairs, and of single answers."""
OF_DPO = [name for name in LOSSES if name not in TUNED_ON_PAIRS]


@pytest.fixture(scope="module")
def first(checkpoints):
    return checkpoints["gpt2", "pre"]


@pytest.fixture(scope="module")
def models(first):
    """The tuned model, some way from the first one, and the first one."""
    tuned, reference = (load_trainable_model(first, "float32") for _ in range(2))
    torch.manual_seed(5)  # KTO's z is positive
    with torch.no_grad():
        for parameter in tuned.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return tuned.eval(), reference.eval()


def settings_of(kind, tmp_path, **named):
    return kind(
        output_dir=str(tmp_path), per_device_train_batch_size=2 * N, use_cpu=True, bf16=False,
        gradient_checkpointing=False, max_length=48, report_to=[], disable_tqdm=True, max_steps=1,
        learning_rate=1e-9, logging_steps=1, train_sampling_strategy="sequential", **named,
    )  # fmt: skip


def trainer_of(kind, settings, first, models, rows=PAIRS, **named):
    tuned, reference = load_trainable_model(first, "float32"), models[1]
    tuned.load_state_dict(models[0].state_dict())
    return kind(
        model=tuned, ref_model=reference, args=settings, train_dataset=Dataset.from_list(rows),
        processing_class=load_tokenizer(first), **named,
    )  # fmt: skip


def log_probability(model, tokenizer, prompt, answer):
    """Of an answer after a prompt, in nats, token by token; and its number of tokens."""
    ids = tokenizer(prompt + answer)["input_ids"] + [tokenizer.eos_token_id]
    begin = len(tokenizer(prompt)["input_ids"])
    states = forward(model, [ids])["logits"][0].double().log_softmax(-1)
    return sum(float(states[place - 1, ids[place]]) for place in range(begin, len(ids))), (
        len(ids) - begin
    )


@pytest.fixture(scope="module")
def readings(first, models):
    """By hand, for each pair: (log π, log ratio, tokens) of both answers; and KTO's z."""
    tokenizer = load_tokenizer(first)

    def read(prompt, answer):
        (tuned, length), (before, _) = (
            log_probability(model, tokenizer, prompt, answer) for model in models
        )
        return tuned, tuned - before, length

    kinds = ("chosen", "rejected")
    pairs = [[read(pair["prompt"], pair[kind]) for kind in kinds] for pair in PAIRS]
    prompts = 2 * [pair["prompt"] for pair in PAIRS]
    answers = [pair[kind] for kind in kinds for pair in PAIRS]
    others = [answers[-1], *answers[:-1]]
    ratios = [read(*row)[1] for row in zip(prompts, others, strict=True)]
    return pairs, max(0.0, sum(ratios) / len(ratios))


def sigma(x):
    return 1 / (1 + exp(-x))


def by_hand(name, readings):
    """The loss of the batch, from its formula in plain numbers."""
    pairs, drift = readings
    if name.startswith("aot"):
        return sum(map(smoothed, differences(name, pairs))) / N
    return sum(loss_of_pair(name, *pair, drift) for pair in pairs) / N


def differences(name, pairs):
    tuned = sorted(chosen[0] - rejected[0] for chosen, rejected in pairs)
    before = sorted(chosen[0] - chosen[1] - rejected[0] + rejected[1] for chosen, rejected in pairs)
    if name == "aot_unpaired":
        tuned, before = (sorted(pair[place][1] for pair in pairs) for place in (0, 1))
    return [one - other for one, other in zip(tuned, before, strict=True)]


def smoothed(difference):
    return -(1 - SHARE) * log(sigma(BETA * difference)) - SHARE * log(sigma(-BETA * difference))


def loss_of_pair(name, chosen, rejected, drift):
    (p_w, r_w, n_w), (p_l, r_l, n_l) = chosen, rejected
    s_w, s_l, s = sigma(BETA * r_w), sigma(BETA * r_l), sigma(BETA * (r_w - r_l))
    a_token = r_w / n_w - r_l / n_l
    odds_w, odds_l = (exp(p / n) / (1 - exp(p / n)) for p, n in ((p_w, n_w), (p_l, n_l)))
    return {
        "sigmoid": -log(s),
        "sigmoid_norm": -log(sigma(BETA * a_token)),
        "hinge": max(0, 1 - BETA * (r_w - r_l)),
        "ipo": (a_token - 0.5 / BETA) ** 2,
        "robust": (-(1 - SHARE) * log(s) + SHARE * log(1 - s)) / (1 - 2 * SHARE),
        "exo_pair": s * log(s / (1 - SHARE)) + (1 - s) * log((1 - s) / SHARE),
        "nca_pair": -log(s_w) - 0.5 * log(1 - s_w) - 0.5 * log(1 - s_l),
        "bco_pair": -log(s_w) - log(1 - s_l),
        "sppo_hard": (r_w - 0.5 / BETA) ** 2 + (r_l + 0.5 / BETA) ** 2,
        "apo_zero": 1 - s_w + s_l,
        "apo_down": s_w + 1 - s,
        "kto": (
            WEIGHTS[0] * (1 - sigma(BETA * (r_w - drift)))
            + WEIGHTS[1] * (1 - sigma(BETA * (drift - r_l)))
        ) / 2,
        "orpo": -p_w / n_w - BETA * log(sigma(log(odds_w / odds_l))),
        "simpo": -log(sigma(BETA * p_w / n_w - BETA * p_l / n_l - GAMMA)),
    }[name]  # fmt: skip


@pytest.fixture
def own(first, models, tmp_path):
    """Make our trainer for an objective."""

    def make(name):
        objective = Objective(name, BETA, SHARE, GAMMA, *WEIGHTS)
        return trainer_of(
            PenalisedDPOTrainer, settings_of(DPOConfig, tmp_path), first, models,
            objective=objective, kl_weight=0.0,
        )  # fmt: skip

    return make


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in LOSSES],
)
def test_what_the_trainer_logs_at_its_first_step_is_the_loss_by_hand(name, own, readings):
    assert readings[1] > 0.1  # or else KTO's z would be 0 by any formula
    trainer = own(name)
    trainer.train()
    expected = by_hand(name, readings)
    assert trainer.state.log_history[0]["loss"] == pytest.approx(expected, rel=1e-4)
    assert trainer.rewards.table()["loss"][0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", OF_DPO)
def test_losses_of_dpo_are_those_of_trl(name, first, models, tmp_path, readings):
    settings = settings_of(DPOConfig, tmp_path, loss_type=[name], beta=BETA, label_smoothing=SHARE)
    trainer = trainer_of(DPOTrainer, settings, first, models)
    loss = trainer.compute_loss(trainer.model, next(iter(trainer.get_train_dataloader())))
    assert by_hand(name, readings) == pytest.approx(float(loss), rel=1e-4)


def test_kto_is_that_of_trl(first, models, tmp_path, readings):
    rows = [
        {"prompt": pair["prompt"], "completion": pair[kind], "label": kind == "chosen"}
        for kind in ("chosen", "rejected")
        for pair in PAIRS
    ]
    settings = settings_of(
        KTOConfig, tmp_path, beta=BETA, desirable_weight=WEIGHTS[0],
        undesirable_weight=WEIGHTS[1],
    )  # fmt: skip
    trainer = trainer_of(KTOTrainer, settings, first, models, rows)
    loss = trainer.compute_loss(trainer.model, next(iter(trainer.get_train_dataloader())))
    assert by_hand("kto", readings) == pytest.approx(float(loss), rel=1e-4)


def test_kto_of_one_pair_has_no_drift(own, readings):
    """A last batch may hold one pair, whose answers have no other prompt to estimate z on."""
    trainer = own("kto")
    batch = next(iter(trainer.get_train_dataloader()))
    for place, pair in enumerate(readings[0]):
        alone = {name: values[[place, place + N]] for name, values in batch.items()}
        loss = float(trainer.compute_loss(trainer.model, alone))
        assert loss_of_pair("kto", *pair, drift=0) == pytest.approx(loss, rel=1e-4)


def test_simpo_and_the_odds_ratio_of_orpo_are_those_of_trl(readings):
    pairs, _ = readings
    means = [torch.tensor([pair[place][0] / pair[place][2] for pair in pairs]) for place in (0, 1)]
    trainer = SimpleNamespace(
        alpha=0.0, loss_type="simpo", simpo_gamma=GAMMA, beta=BETA, label_smoothing=0,
        accelerator=SimpleNamespace(device="cpu"),
    )  # fmt: skip
    losses = CPOTrainer.cpo_loss(trainer, *means)[0]
    assert by_hand("simpo", readings) == pytest.approx(float(losses.mean()), rel=1e-5)
    # trl's first term reads prompts too; the paper's, the chosen answers alone.
    odds_ratio = ORPOTrainer.odds_ratio_loss(trainer, *means)[0].mean()
    expected = -means[0].mean() - odds_ratio
    assert by_hand("orpo", readings) == pytest.approx(float(expected), rel=1e-5)


def test_the_schema_names_every_loss():
    branches = yaml.safe_load(SCHEMA.read_text())["$defs"]["second_checkpoint"]["allOf"]
    of_dpo = next(one for one in branches if one["if"]["properties"]["kind"] == {"const": "dpo"})
    assert of_dpo["then"]["properties"]["loss"]["enum"] == OF_DPO
    assert [*OF_DPO, *TUNED_ON_PAIRS[1:]] == list(LOSSES)
