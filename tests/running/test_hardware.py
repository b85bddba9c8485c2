"""The number of GPUs that rules may use on this machine."""

import pytest

from dpo_neurons.running import hardware
from dpo_neurons.running.hardware import visible_gpus


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
