"""The micro study through a real Slurm; `make test-slurm` starts one and runs this."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.workflow import FIGURES, PROGRAMS, PROJECT, RESULTS, changed_config, copy_project, run

ON_A_GPU = {
    "train_dpo",
    "train_probe",
    "capture_activations",
    "capture_crossed_activations",
    "capture_under_plan",
    "run_interventions",
}
KILLED, CANCELLED = "run_interventions", "score_continuations"


@dataclass
class Run:
    """What a run of the study through Slurm left."""

    study: Path
    said: str = ""
    status: int | None = None
    jobs: dict[str, dict[str, str]] = field(default_factory=dict)
    """What Slurm knew of each job, by its id."""
    cancelled: str = ""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Run:
    """The micro study's rules ask for GPUs, but compute on the CPU: Slurm's are pretended.

    Meanwhile a program is killed on the node, and a job is cancelled.
    """
    study = tmp_path_factory.mktemp("slurm") / "study"
    copy_project(study)
    changed_config(study / "on_gpus.yaml", ("compute.device", "cuda"))
    command = [Path(sys.executable).with_name("snakemake"), "figures", "--configfile=on_gpus.yaml"]
    command += ["--workflow-profile=slurm", "--slurm-init-seconds-before-status-checks=4"]
    command += ["--set-resources", *(f"{rule}:device=cpu" for rule in sorted(ON_A_GPU))]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("SLURM_JOB_ID", None)
    log, result, killed = study / "snakemake.log", Run(study), False
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=study, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        while process.poll() is None:
            result.jobs |= jobs_of_slurm()
            killed = killed or kill_logging_program(KILLED, study)
            result.cancelled = result.cancelled or cancel_job(CANCELLED, result.jobs)
            time.sleep(2)
    result.jobs |= jobs_of_slurm()
    result.said, result.status = log.read_text(encoding="utf-8"), process.returncode
    return result


def jobs_of_slurm() -> dict[str, dict[str, str]]:
    """All jobs that Slurm knows of, also those that ended in the last minutes."""
    listed = run(["scontrol", "show", "job", "--oneliner"], PROJECT).stdout
    jobs = [dict(re.findall(r"([\w/]+)=(\S*)", line)) for line in listed.splitlines()]
    return {job["JobId"]: job for job in jobs if "JobId" in job}


def kill_logging_program(name: str, directory: Path) -> bool:
    """Kill a process that runs a program in a directory and has begun its log; tell if one was."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text().split("\0")
            here = (process / "cwd").readlink() == directory
            if here and words[1:2] == [str(PROGRAMS[name].relative_to(PROJECT))]:
                if (process / "fd/2").stat().st_size == 0:
                    continue
                os.kill(int(process.name), signal.SIGKILL)
                return True
        except OSError:
            continue
    return False


def cancel_job(rule: str, jobs: dict[str, dict[str, str]]) -> str:
    """Cancel the first running job of a rule; its id, or nothing if none runs."""
    for number, job in jobs.items():
        if rule_of(job) == rule and job["JobState"] == "RUNNING":
            subprocess.run(["scancel", number], check=True)
            return number
    return ""


def rule_of(job: dict[str, str]) -> str:
    """The rule that a job runs."""
    return re.match(r"rule_(\w+?)(?:_wildcards_.*)?$", job["Comment"])[1]


def submitted(said: str) -> dict[str, dict[str, str]]:
    """What Snakemake's log says that each of Slurm's jobs needs: resources, threads."""
    told: dict[str, dict[str, str]] = {}
    needs = {}
    for block in re.split(r"^\[", said, flags=re.MULTILINE):
        if number := re.search(r"^    jobid: (\d+)$", block, re.MULTILINE):
            listed = re.search(r"^    resources: (.*)$", block, re.MULTILINE)
            threads = re.search(r"^    threads: (\d+)$", block, re.MULTILINE)
            if listed:
                needs[number[1]] = dict(re.findall(r"(\w+)=([^,\s]+)", listed[1]))
                needs[number[1]]["threads"] = threads[1] if threads else "1"
    for number, job in re.findall(r"Job (\d+) has been submitted with SLURM jobid (\d+)", said):
        told[job] = needs[number]
    return told


def test_the_study_comes_out_whole(finished):
    assert finished.status == 0, finished.said[-3000:]
    results = finished.study / RESULTS
    assert (results / "tables/toy.csv").is_file()
    assert {path.stem for path in (results / "figures/toy").glob("*.svg")} == {*FIGURES}


def test_slurm_was_asked_for_what_the_rules_need(finished):
    needed = submitted(finished.said)
    assert len(needed) > 80
    assert needed.keys() == finished.jobs.keys()
    for number, job in finished.jobs.items():
        hours, minutes, seconds = map(int, job["TimeLimit"].split(":"))
        asked = {
            "mem_mb": job["MinMemoryNode"].removesuffix("M"),
            "runtime": str(60 * hours + minutes),
            "threads": job["CPUs/Task"],
            "gpu": job.get("TresPerJob", "gres:gpu:0").removeprefix("gres:gpu:"),
        }
        assert asked == {"gpu": "0"} | {name: needed[number].get(name, "0") for name in asked}
        assert (asked["gpu"], seconds) == ("1" if rule_of(job) in ON_A_GPU else "0", 0)


def test_a_job_that_dies_is_told_of_with_its_log_and_is_run_again(finished):
    (failed,) = [job for job in finished.jobs.values() if job["JobState"] == "FAILED"]
    assert rule_of(failed) == KILLED
    assert f"SLURM-job '{failed['JobId']}' failed, SLURM status is: 'FAILED'" in finished.said
    log = re.search(rf"    log: ({RESULTS}/logs/{KILLED}/\S+)", finished.said)[1]
    assert f"Logfile {log}:" in finished.said  # and then what is in it:
    assert re.search(rf"^\d\d:\d\d:\d\d {KILLED}\.py --checkpoint", finished.said, re.MULTILINE)
    again = [job for job in finished.jobs.values() if job["Comment"] == failed["Comment"]]
    assert [job["JobState"] for job in again] == ["FAILED", "COMPLETED"]


def test_a_job_that_is_cancelled_is_run_again(finished):
    cancelled = finished.jobs[finished.cancelled]
    assert "failed, SLURM status is: 'CANCELLED'" in finished.said
    again = [job for job in finished.jobs.values() if job["Comment"] == cancelled["Comment"]]
    assert [job["JobState"] for job in again] == ["CANCELLED", "COMPLETED"]


@pytest.mark.parametrize(("asked", "seen"), [(0, 0), (1, 1), (2, 2)])
def test_a_job_sees_the_gpus_that_it_asked_for_and_no_other(tmp_path, asked, seen):
    fake = tmp_path / "nvidia-smi"
    fake.write_text("#!/bin/sh\nprintf '0, GPU-a\\n1, GPU-b\\n'\n")
    fake.chmod(0o755)
    told = "from dpo_neurons.running.devices import visible_gpu_ids; print(*visible_gpu_ids())"
    command = ["srun", "--quiet", "--ntasks=1", "--mem=500"]
    command += [f"--gpus={asked}"] if asked else []
    command += ["env", f"PATH={tmp_path}:{os.environ['PATH']}", sys.executable, "-c", told]
    result = run(command, PROJECT / "workflow_scripts")
    assert result.stdout.split() == ["GPU-a", "GPU-b"][:seen]
