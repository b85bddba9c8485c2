"""Leases: one job per lock; the lock is free when the job ends in any way."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dpo_neurons.errors import InputError
from dpo_neurons.running import devices
from dpo_neurons.running.devices import lease_device, lease_devices, lease_locks, visible_gpu_ids

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
HOLD = """
import sys, time
from pathlib import Path
from dpo_neurons.running.devices import lease_locks
with lease_locks([Path(one) for one in sys.argv[1:]], 1) as (index,):
    print(index, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def locks(tmp_path, monkeypatch):
    """Two lock files, polled often."""
    monkeypatch.setattr(devices, "POLL_SECONDS", 0.01)
    return [tmp_path / "a.lock", tmp_path / "b.lock"]


@pytest.fixture
def holder(locks):
    """Another process that holds the first lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, locks[0]], cwd=SCRIPTS, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "0\n"
    yield process
    process.kill()
    process.wait()


def test_the_first_free_lock_is_taken(locks):
    with lease_locks(locks, 1) as (one,), lease_locks(locks, 1) as (two,):
        assert [one, two] == [0, 1]
    with lease_locks(locks, 1) as (again,):
        assert again == 0


def test_a_second_taker_waits_until_the_first_lets_go(locks):
    events = []

    def take_second():
        with lease_locks(locks[:1], 1):
            events.append("second")

    with lease_locks(locks[:1], 1):
        waiting = threading.Thread(target=take_second)
        waiting.start()
        time.sleep(0.1)
        assert waiting.is_alive()
        events.append("first done")
    waiting.join(timeout=5)
    assert events == ["first done", "second"]


def test_a_lock_is_free_again_after_an_exception(locks):
    with pytest.raises(KeyError), lease_locks(locks, 1):
        raise KeyError
    with lease_locks(locks, 1) as (index,):
        assert index == 0


def test_another_process_is_respected_and_a_killed_one_frees_its_lock(locks, holder):
    with lease_locks(locks, 1) as (index,):
        assert index == 1
    holder.kill()
    holder.wait()
    with lease_locks(locks, 1) as (index,):
        assert index == 0


def test_a_child_of_a_holder_does_not_hold_on(locks):
    with lease_locks(locks, 1):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with lease_locks(locks, 1) as (index,):
            assert index == 0
    finally:
        child.kill()
        child.wait()


@pytest.fixture
def gpus(monkeypatch, tmp_path):
    """A machine with some GPUs by nvidia-smi: gpus("GPU-a", "GPU-b"); leases are the test's own."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(devices, "POLL_SECONDS", 0.01)

    def install(*ids, status=0):
        lines = "".join(f"{index}, {one}\n" for index, one in enumerate(ids))
        fake = tmp_path / "bin/nvidia-smi"
        fake.parent.mkdir(exist_ok=True)
        fake.write_text(f"#!/bin/sh\nprintf '{lines}'\nexit {status}\n")
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")

    return install


@pytest.mark.parametrize("wanted", ["cpu", "auto"])
def test_without_a_gpu_all_of_it_runs_on_the_cpu(gpus, wanted):
    gpus()
    with lease_device(wanted) as device:
        assert device == "cpu"


@pytest.mark.parametrize(("ids", "status"), [((), 0), (("GPU-a",), 9)])
def test_cuda_without_a_gpu_or_with_a_broken_driver_is_a_sentence(gpus, ids, status):
    gpus(*ids, status=status)
    with pytest.raises(InputError, match=r"compute\.device is cuda, but nvidia-smi lists no GPU"):
        lease_device("cuda").__enter__()


def test_a_machine_without_nvidia_smi_has_no_gpu(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpu_ids() == []


@pytest.mark.parametrize("asked", ["cuda", "auto"])
def test_jobs_get_a_gpu_each_and_see_no_other(gpus, monkeypatch, asked):
    gpus("GPU-a", "GPU-b")
    with lease_device(asked) as one:
        assert (one, os.environ["CUDA_VISIBLE_DEVICES"]) == ("cuda:0", "GPU-a")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")  # another job's environment
        with lease_device(asked) as two:
            assert (two, os.environ["CUDA_VISIBLE_DEVICES"]) == ("cuda:0", "GPU-b")
    with lease_device("cpu") as device:
        assert device == "cpu"


def test_a_model_spread_over_two_gpus_gets_two(gpus):
    gpus("GPU-a", "GPU-b", "GPU-c")
    with lease_devices("auto", 2) as names:
        assert names == ["cuda:0", "cuda:1"]
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-a,GPU-b"


@pytest.mark.parametrize(
    ("visible", "left"),
    [("2,0", ["GPU-c", "GPU-a"]), ("GPU-b", ["GPU-b"]), ("MIG-1", ["MIG-1"]), ("", []), ("-1", []),
     ("7", []), ("NoDevFiles", [])],
)  # fmt: skip
def test_gpus_that_the_environment_hides_are_left_alone(gpus, monkeypatch, visible, left):
    gpus("GPU-a", "GPU-b", "GPU-c")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpu_ids() == left


@pytest.mark.parametrize(
    ("given", "left"), [(None, []), ("1", ["GPU-b"]), ("2,1", ["GPU-c", "GPU-b"])]
)
def test_a_slurm_job_takes_only_the_gpus_that_it_was_given(gpus, monkeypatch, given, left):
    gpus("GPU-a", "GPU-b", "GPU-c")  # all of the node's, where Slurm does not hide the others
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert visible_gpu_ids() == left
    with lease_devices("auto", max(1, len(left))) as names:
        assert names == ([f"cuda:{number}" for number in range(len(left))] or ["cpu"])
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == (",".join(left) or None)


def test_more_gpus_than_there_are_is_said(gpus):
    gpus("GPU-a", "GPU-b")
    with pytest.raises(InputError, match=r"models\.….gpus is 3, but this machine has 2"):
        lease_devices("auto", 3).__enter__()


def test_several_are_taken_at_once_or_none(locks):
    with lease_locks(locks, 1) as (first,):
        assert first == 0
        taken = threading.Event()

        def take_both():
            with lease_locks(locks, 2) as indices:
                assert indices == [0, 1]
                taken.set()

        waiting = threading.Thread(target=take_both)
        waiting.start()
        assert not taken.wait(timeout=0.1)
        # The waiting job holds no lock, so the second lock is free most of the time.
        with lease_locks(locks, 1) as (second,):
            assert second == 1
    waiting.join(timeout=5)
    assert taken.is_set()
