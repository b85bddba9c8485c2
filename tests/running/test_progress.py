"""Progress of a job: its lines, and where they are printed."""

import re

import pytest

from dpo_neurons.running import progress
from dpo_neurons.running.progress import Progress, job_name

COMMAND = ["scripts/run_it.py", "--tokens", "5", "--text-output", "results/a b.json"]


@pytest.fixture
def clock(monkeypatch):
    """Time that passes a second with each look at it."""
    seconds = iter(range(1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(seconds)))
    monkeypatch.setattr("sys.argv", COMMAND)


def test_a_job_is_called_by_its_program_and_the_first_file_it_writes():
    assert job_name(COMMAND) == "run_it results/a b.json"
    assert job_name(["run_it.py", "--text", "x"]) == "run_it"
    assert job_name(["run_it.py"]) == "run_it"


def test_a_line_goes_to_standard_output_now_and_then_and_a_bar_to_the_log(clock, capsys):
    with Progress(total=40, desc="reading", unit="text") as bar:
        for _ in range(40):
            bar.update()
    out, err = capsys.readouterr()
    lines = out.splitlines()
    # At seconds 15 and 30 of 40.
    assert len(lines) == 2
    assert re.match(r"run_it results/a b\.json: reading: +38%.*15/40 \[.*<.*text/s\]", lines[0])
    assert "30/40" in lines[1]
    assert "40/40" in err
    assert "run_it" not in err


def test_iterating_counts_each_item_and_yields_all(clock, capsys):
    assert list(Progress(range(20), desc="training")) == list(range(20))
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert "20/20" in err


def test_at_a_terminal_there_is_the_bar_alone(clock, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    list(Progress(range(40)))
    assert capsys.readouterr().out == ""


def test_a_bar_that_is_off_says_nothing(clock, capsys):
    list(Progress(range(40), disable=True))
    assert capsys.readouterr() == ("", "")
