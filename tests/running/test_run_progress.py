"""How far a run is: read from logs of Snakemake, written by hand and by a run."""

import subprocess
import sys
from datetime import datetime

import pytest

from dpo_neurons.errors import InputError
from dpo_neurons.running.run_progress import describe_progress, read_progress

BEGUN = datetime(2026, 11, 27, 6, 0, 0).timestamp()
LOG = """Provided cores: 2
Job stats:
job                  count
-----------------  -------
draw_tradeoff            1
figures                  1
run_interventions        4
total                    6

[Fri Nov 27 06:00:00 2026]
localrule run_interventions:
    output: a
    jobid: 3
    wildcards: model=toy, entry=patch_tp
[Fri Nov 27 06:01:00 2026]
rule run_interventions:
    output: b
    jobid: 4
    wildcards: model=toy, entry=shift_all
[Fri Nov 27 06:05:00 2026]
Finished jobid: 3 (Rule: run_interventions)
1 of 6 steps (17%) done
"""


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "run.log"
    path.write_text(LOG)
    return path


def test_a_run_under_way_by_hand(log):
    # One of four took 5 minutes; one has run for 6 of 5; two are left, on two cores.
    told = describe_progress(read_progress(log), BEGUN + 7 * 60).splitlines()
    assert told == [
        "1 of 6 jobs done in 7 min",
        "  running for 6 min: run_interventions (model=toy, entry=shift_all)",
        "about 5 min to go, from the jobs that are done",
        "  not counted, since none is done yet: draw_tradeoff, figures",
    ]


def test_what_a_running_job_has_left_counts(log):
    seconds, _ = read_progress(log).seconds_left(BEGUN + 3 * 60)
    assert seconds == (2 * 300 + 180) / 2


def test_a_failed_job_no_longer_runs(log):
    block = "Error in rule run_interventions:\n    message: None\n    jobid: 4\n    output: b\n"
    log.write_text(f"{LOG}[Fri Nov 27 06:06:00 2026]\n{block}")
    progress = read_progress(log)
    assert (progress.failed, progress.running) == (["run_interventions"], [])
    assert "failed: run_interventions" in describe_progress(progress, BEGUN + 400)


def test_a_log_without_jobs_is_said_to_have_none(tmp_path):
    path = tmp_path / "nothing.log"
    path.write_text("Nothing to be done\n")
    with pytest.raises(InputError, match="lists no jobs: nothing was to be done"):
        read_progress(path)


def test_the_log_of_a_real_run_that_failed_is_read(tmp_path):
    rules = 'rule all:\n    input: "a", "b"\nrule make:\n    output: "a"\n    shell: "false"\n'
    rules += 'rule write:\n    output: "b"\n    shell: "echo 1 > {output}"\n'
    (tmp_path / "Snakefile").write_text(rules)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--keep-going"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True)
    assert done.returncode != 0
    (log,) = tmp_path.glob(".snakemake/log/*.log")
    progress = read_progress(log)
    assert (progress.failed, progress.running) == (["make"], [])
    assert list(progress.done) == ["write"]


def test_the_log_of_a_real_run_is_read(tmp_path):
    rules = 'rule all:\n    input: "x.txt"\nrule make:\n    output: "{n}.txt"\n'
    (tmp_path / "Snakefile").write_text(f'{rules}    shell: "echo 1 > {{output}}"\n')
    command = [sys.executable, "-m", "snakemake", "--cores", "1"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    module = [sys.executable, "-m", "dpo_neurons.running.run_progress"]
    told = subprocess.run(module, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert told.stdout.startswith("2 of 2 jobs done in ")
