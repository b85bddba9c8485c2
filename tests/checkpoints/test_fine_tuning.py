"""What both kinds of tuning share: settings, what is left as it was, what is refused."""

import argparse
import copy
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dpo_neurons.checkpoints.fine_tuning import (
    convert_dtype,
    join_with_space,
    train,
    trainer_settings,
)
from dpo_neurons.errors import InputError
from dpo_neurons.models.loading import load_trainable_model


@pytest.mark.parametrize(
    ("prompt", "answer", "wanted"),
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
def test_one_space_stands_between_prompt_and_answer(prompt, answer, wanted):
    assert join_with_space(prompt, answer) == wanted


@given(st.text(), st.text())
def test_nothing_but_a_space_is_added(prompt, answer):
    spaced = join_with_space(prompt, answer)
    assert spaced.removeprefix(" ") == answer.removeprefix(" ")
    assert join_with_space(prompt, spaced) == spaced


@pytest.fixture
def arguments():
    return argparse.Namespace(
        learning_rate=1e-5, warmup_steps=3, steps=7, batch_size=4, max_tokens=None,
        dtype="bfloat16", seed=1,
    )  # fmt: skip


@pytest.fixture
def trainable(checkpoints):
    return load_trainable_model(checkpoints["llama", "pre"], "float32")


def test_only_a_gpu_computes_in_bfloat16_and_recomputes(arguments, trainable):
    for device, on_gpu in (("cpu", False), ("cuda:0", True)):
        with trainer_settings(arguments, trainable, device) as settings:
            assert settings["bf16"] is on_gpu
            assert settings["gradient_checkpointing"] is on_gpu
            assert settings["use_cpu"] is not on_gpu
    arguments.dtype = "float32"
    with trainer_settings(arguments, trainable, "cuda:0") as settings:
        assert settings["bf16"] is False


def test_the_longest_text_is_what_is_asked_for_or_what_the_model_reads(arguments, trainable):
    with trainer_settings(arguments, trainable, "cpu") as settings:
        assert settings["max_length"] == 48
    arguments.max_tokens = 9
    with trainer_settings(arguments, trainable, "cpu") as settings:
        assert settings["max_length"] == 9


def test_the_models_configuration_is_what_it_was_and_nothing_stays_on_disk(arguments, trainable):
    before = copy.deepcopy(trainable.config.to_dict())
    with trainer_settings(arguments, trainable, "cpu") as settings:
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
    """Stands in for one of trl's that kept so many rows."""

    def __init__(self, kept):
        self.train_dataset = [{}] * kept
        self.args = argparse.Namespace(max_length=5)
        self.processing_class = argparse.Namespace(eos_token="<end>")
        log_history = [{"step": 1, "loss": 2.5}, {"step": 1}]
        self.state = argparse.Namespace(log_history=log_history, max_steps=2)
        self.trained = False
        self.callbacks = []

    def add_callback(self, callback):
        self.callbacks.append(callback)

    def train(self):
        for callback in self.callbacks:
            callback.on_train_begin(self.args, self.state, None, model=None)
            for _ in range(self.state.max_steps):
                callback.on_step_end(self.args, self.state, None, model=None)
            callback.on_train_end(self.args, self.state, None, model=None)
        self.trained = True


def test_the_log_tells_what_was_kept_how_answers_end_and_how_far_it_is(caplog, capsys):
    trainer = Trainer(3)
    with caplog.at_level("INFO"):
        train(trainer, 4, lambda entry: f"loss {entry['loss']}" if "loss" in entry else None)
    assert trainer.trained
    assert "3 of 4 examples have room for an answer in 5 tokens" in caplog.text
    assert "each answer ends with '<end>'" in caplog.text
    assert "step 1: loss 2.5" in caplog.text
    assert "2/2" in capsys.readouterr().err


def test_prompts_that_leave_no_room_are_a_sentence():
    trainer = Trainer(0)
    with pytest.raises(InputError, match="max_tokens: in 5 tokens no prompt leaves room"):
        train(trainer, 4, lambda entry: None)
    assert not trainer.trained
