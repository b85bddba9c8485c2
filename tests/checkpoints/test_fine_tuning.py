"""Common parts of both kinds of tuning: settings, unchanged files, errors."""

import copy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dpo_neurons.checkpoints.fine_tuning import (
    TrainingSettings,
    convert_dtype,
    separate_answer,
    train,
    trainer_settings,
)
from dpo_neurons.errors import InputError
from dpo_neurons.models.loading import load_trainable_model


@pytest.mark.parametrize(
    ("prompt", "answer", "separated"),
    [
        ("a", "b", " b"),
        ("a ", "b", "b"),
        ("a\n", "b", "b"),
        ("a", " b", " b"),
        ("a", "\tb", "\tb"),
        ("", "b", " b"),
        ("a", "", " "),
    ],
)
def test_one_space_stands_between_prompt_and_answer(prompt, answer, separated):
    assert separate_answer(prompt, answer) == separated


@given(st.text(), st.text())
def test_nothing_but_a_space_is_added(prompt, answer):
    spaced = separate_answer(prompt, answer)
    assert spaced.removeprefix(" ") == answer.removeprefix(" ")
    assert separate_answer(prompt, spaced) == spaced


TRAINING = TrainingSettings(
    learning_rate=1e-5, warmup_steps=3, steps=7, max_grad_norm=10, batch_size=4, max_tokens=None,
    dtype="bfloat16", seed=1,
)  # fmt: skip


@pytest.fixture
def trainable(checkpoints):
    return load_trainable_model(checkpoints["llama", "pre"], "float32")


def test_only_a_gpu_computes_in_bfloat16_and_recomputes(trainable):
    for device, on_gpu in (("cpu", False), ("cuda:0", True)):
        with trainer_settings(TRAINING, trainable, device) as settings:
            assert settings["bf16"] is on_gpu
            assert settings["gradient_checkpointing"] is on_gpu
            assert settings["use_cpu"] is not on_gpu
    with trainer_settings(replace(TRAINING, dtype="float32"), trainable, "cuda:0") as settings:
        assert settings["bf16"] is False


def test_the_longest_text_is_what_is_asked_for_or_what_the_model_reads(trainable):
    with trainer_settings(TRAINING, trainable, "cpu") as settings:
        assert settings["max_length"] == 48
    with trainer_settings(replace(TRAINING, max_tokens=9), trainable, "cpu") as settings:
        assert settings["max_length"] == 9


def test_the_models_configuration_is_what_it_was_and_nothing_stays_on_disk(trainable):
    before = copy.deepcopy(trainable.config.to_dict())
    with trainer_settings(TRAINING, trainable, "cpu") as settings:
        trainable.config.use_cache = False
        trainable.config.eos_token_id = 17
        (Path(settings["output_dir"]) / "half").touch()
    assert trainable.config.to_dict() == before
    assert not Path(settings["output_dir"]).exists()


def test_weights_that_are_not_finite_are_refused(trainable):
    assert {one.dtype for one in convert_dtype(trainable, "bfloat16").parameters()} == {
        torch.bfloat16
    }
    with torch.no_grad():
        trainable.model.norm.weight[3] = 70000.0
    convert_dtype(trainable, "bfloat16")
    with pytest.raises(InputError, match=r"learning_rate: .*model\.norm\.weight .*float16"):
        convert_dtype(trainable, "float16")
    trainable.model.norm.weight.data[3] = float("nan")
    with pytest.raises(InputError, match="learning_rate: training diverged"):
        convert_dtype(trainable, "float32")


class Trainer:
    """A substitute for trl's trainer with a given number of examples."""

    def __init__(self, examples):
        self.train_dataset = [{}] * examples
        self.args = SimpleNamespace(max_length=5)
        self.processing_class = SimpleNamespace(eos_token="<end>")
        log_history = [
            {"step": 1, "loss": 2.5},
            {"step": 2, "loss": 2.25, "rewards/margins": 0.125},
            {"step": 2, "train_loss": 2.375},
        ]
        self.state = SimpleNamespace(log_history=log_history, max_steps=2)
        self.trained = False
        self.callbacks = []

    def add_callback(self, callback):
        self.callbacks.append(callback)

    def remove_callback(self, kind):
        self.removed = kind

    def train(self):
        for callback in self.callbacks:
            callback.on_train_begin(self.args, self.state, None, model=None)
            for _ in range(self.state.max_steps):
                callback.on_step_end(self.args, self.state, None, model=None)
            callback.on_train_end(self.args, self.state, None, model=None)
        self.trained = True


def test_the_log_says_how_many_examples_how_answers_end_and_each_steps_loss(caplog, capsys):
    trainer = Trainer(3)
    with caplog.at_level("INFO"):
        train(trainer, 4)
    assert trainer.trained
    assert "3 of 4 examples have room for an answer in 5 tokens" in caplog.text
    assert "each answer ends with '<end>'" in caplog.text
    steps = [record.getMessage() for record in caplog.records if "step " in record.getMessage()]
    assert steps == ["step 1: loss 2.5000", "step 2: loss 2.2500, reward margin 0.1250"]
    assert "2/2" in capsys.readouterr().err


def test_prompts_that_leave_no_room_are_refused():
    trainer = Trainer(0)
    with pytest.raises(InputError, match="max_tokens: in 5 tokens no prompt leaves room"):
        train(trainer, 4)
    assert not trainer.trained
