"""The GPUs that rules may use on this machine, and the memory that models take."""

import json

import pytest

from dpo_neurons.running import hardware
from dpo_neurons.running.hardware import embedding_mb, logits_mb, model_mb, visible_gpus


@pytest.fixture
def two_gpus(monkeypatch, tmp_path):
    """A machine with two GPUs, by its device files."""
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.setattr(hardware, "Path", {"/dev": tmp_path}.__getitem__)
    for variable in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("given", "in_slurm", "count"),
    [(None, False, 2), ("1", False, 1), ("", False, 0), ("0,1,2", False, 2),
     (None, True, 0), ("1", True, 1), ("0,1", True, 2)],
)  # fmt: skip
def test_gpus_are_counted_as_the_environment_leaves_them(
    two_gpus, monkeypatch, given, in_slurm, count
):
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    if in_slurm:
        monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert visible_gpus() == count


@pytest.mark.parametrize(
    ("described", "dtype", "megabytes"),
    [
        ({"dtype": "bfloat16"}, "float32", 8),
        ({"torch_dtype": "float16"}, "float16", 4),
        ({"dtype": "float32"}, "float64", 8),
        ({}, "bfloat16", 2),
        ("damaged", "float32", 4),
    ],
)
def test_a_model_takes_the_memory_of_its_own_number_format(tmp_path, described, dtype, megabytes):
    (tmp_path / "model.safetensors").write_bytes(bytes(4_000_000))
    (tmp_path / "config.json").write_text(json.dumps(described))
    assert model_mb(str(tmp_path), dtype) == megabytes


@pytest.mark.parametrize("described", [{"vocab_size": 5000}, {"text_config": {"vocab_size": 5000}}])
def test_logits_take_memory_for_every_token_of_the_vocabulary(tmp_path, described):
    (tmp_path / "config.json").write_text(json.dumps(described))
    assert logits_mb(str(tmp_path), 1000, "float32") == 20
    assert logits_mb(str(tmp_path / "not made yet"), 1000, "float32") == 0


@pytest.mark.parametrize(
    "described",
    [{"vocab_size": "5000"}, {"vocab_size": -5}, {"text_config": None}, {"hidden_size": [16]}],
)
def test_a_damaged_config_is_left_to_the_job_that_reads_it(tmp_path, described):
    (tmp_path / "config.json").write_text(json.dumps(described))
    assert embedding_mb(str(tmp_path), "float32") == logits_mb(str(tmp_path), 1000, "float32") == 0
