"""Leases: one job a lock, freed with the job, however it ends."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from dpo_neurons import devices
from dpo_neurons.devices import leased_device, leased_lock
from dpo_neurons.errors import InputError

SCRIPTS = Path(__file__).parents[1] / "workflow_scripts"
HOLD = """
import sys, time
from pathlib import Path
from dpo_neurons.devices import leased_lock
with leased_lock([Path(one) for one in sys.argv[1:]]) as index:
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
    with leased_lock(locks) as one, leased_lock(locks) as two:
        assert [one, two] == [0, 1]
    with leased_lock(locks) as again:
        assert again == 0


def test_a_second_taker_waits_until_the_first_lets_go(locks):
    events = []

    def take_second():
        with leased_lock(locks[:1]):
            events.append("second")

    with leased_lock(locks[:1]):
        waiting = threading.Thread(target=take_second)
        waiting.start()
        time.sleep(0.1)
        assert waiting.is_alive()
        events.append("first done")
    waiting.join(timeout=5)
    assert events == ["first done", "second"]


def test_a_lock_is_free_again_after_an_exception(locks):
    with pytest.raises(KeyError), leased_lock(locks):
        raise KeyError
    with leased_lock(locks) as index:
        assert index == 0


def test_another_process_is_respected_and_a_killed_one_frees_its_lock(locks, holder):
    with leased_lock(locks) as index:
        assert index == 1
    holder.kill()
    holder.wait()
    with leased_lock(locks) as index:
        assert index == 0


def test_a_child_of_a_holder_does_not_hold_on(locks):
    with leased_lock(locks):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with leased_lock(locks) as index:
            assert index == 0
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("wanted", ["cpu", "auto"])
def test_without_a_gpu_all_of_it_runs_on_the_cpu(monkeypatch, wanted):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with leased_device(wanted) as device:
        assert device == "cpu"


def test_cuda_without_a_gpu_is_a_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match=r"compute\.device is cuda, but torch sees no GPU"):
        leased_device("cuda").__enter__()


@pytest.mark.parametrize("wanted", ["cuda", "auto"])
def test_jobs_get_a_gpu_each(monkeypatch, tmp_path, wanted):
    class Properties:
        def __init__(self, index):
            self.uuid = f"uuid-{index}"

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", Properties)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "GPU")
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    with leased_device(wanted) as one, leased_device(wanted) as two:
        assert [one, two] == ["cuda:0", "cuda:1"]
    with leased_device("cpu") as device:
        assert device == "cpu"
