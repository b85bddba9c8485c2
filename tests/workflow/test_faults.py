"""Kills at random moments, two workflows in one directory: the results stay the same."""

import os
import random
import shutil
import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.killed_runs import Run, made, started
from support.workflow import RESULTS, changed_config, copy_project, snakemake

pytest_plugins = ["support.finished_study"]

SEED, KILLS = 20, 20
ONE = ("interventions", {"ablate_top_6": {"kind": "ablate", "top": 6}})
"""The fewest interventions that a study can have: this one, none and dpo."""
SETS = ("challenge_prompts", "labelled_comments", "lexicon", "preference_pairs")
FILES = [str(RESULTS / f"data/{name}.jsonl") for name in SETS]
"""Made within seconds."""
LOCKED = "Directory cannot be locked"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project without results."""
    copy_project(tmp_path / "new" / "study")
    return tmp_path / "new" / "study"


def kill(run: Run, draw: random.Random) -> None:
    """Kill a running job, Snakemake without its jobs, or all of it."""
    victim, place = draw.choice(("a job", "snakemake", "everything")), draw.random()
    jobs = run.jobs()
    if victim == "a job" and jobs:
        os.kill(jobs[int(place * len(jobs))], signal.SIGKILL)
        assert run.ends() == 1, run.said
        assert "Traceback" not in run.said
    elif victim == "snakemake":
        run.kill_snakemake()
    else:
        run.kill_all()


def test_twenty_kills_at_random_moments_change_no_bit_of_the_results(
    own_study: Path, project: Path, tmp_path: Path
) -> None:
    config = changed_config(tmp_path / "one.yaml", ONE)
    result = snakemake(own_study, "tables", "--cores", "2", config=config)
    assert result.returncode == 0, result.stdout
    command = ["tables", "--cores", "2", "--configfile", str(config)]
    draw, killed = random.Random(SEED), 0
    with ExitStack() as runs:
        while killed < KILLS:
            run = runs.enter_context(started(project, *command))
            if run.waits_for("Finished jobid", draw.choice((0, 0, 1, 1))):
                time.sleep(draw.uniform(0, 3))
            if run.process.poll() is None:
                kill(run, draw)
                killed += 1
            else:  # it was done before: once more from the beginning
                assert run.ends() == 0, run.said
                assert_same(project, own_study)
                shutil.rmtree(project / RESULTS)
            # What snakemake --unlock does.
            shutil.rmtree(project / ".snakemake/locks", ignore_errors=True)
        last = runs.enter_context(started(project, *command))
        assert last.ends() == 0, last.said
    assert_same(project, own_study)


def assert_same(project: Path, undisturbed: Path) -> None:
    """What a killed and resumed study made is what an undisturbed one made, to the last bit."""
    ours, theirs = made(project / RESULTS), made(undisturbed / RESULTS)
    assert [name for name in ours if ".partial-" in name] == []
    assert {f"tables/{name}.csv" for name in ("toy", "comparison")} <= set(ours)
    assert sorted(name for name in ours if ours[name] != theirs.get(name)) == []


def test_the_lock_of_a_killed_run_is_told_with_its_remedy_and_removed_by_it(
    project: Path, finished_study: Path
) -> None:
    command = ["--cores", "1", "--configfile", "tests/micro.yaml"]
    with started(project, *FILES, *command) as run:
        assert run.waits_for("Finished jobid")
        run.kill_all()
    result = snakemake(project, *FILES, "--cores", "1")
    assert result.returncode == 1
    assert LOCKED in result.stdout
    assert "--unlock" in result.stdout
    assert "Traceback" not in result.stdout
    assert snakemake(project, "--unlock").returncode == 0
    result = snakemake(project, *FILES, "--cores", "1")
    assert result.returncode == 0, result.stdout
    assert [(project / one).read_bytes() for one in FILES] == [
        (finished_study / one).read_bytes() for one in FILES
    ]


def test_a_second_run_of_a_study_is_refused_and_the_first_goes_on(
    project: Path, finished_study: Path
) -> None:
    with started(project, *FILES, "--cores", "1", "--configfile", "tests/micro.yaml") as first:
        assert first.waits_for("Finished jobid")
        os.kill(first.process.pid, signal.SIGSTOP)  # so that it does not end before the second
        second = snakemake(project, *FILES, "--cores", "1")
        os.kill(first.process.pid, signal.SIGCONT)
        assert second.returncode == 1
        assert LOCKED in second.stdout
        assert "Traceback" not in second.stdout
        assert first.ends() == 0, first.said
    assert [(project / one).read_bytes() for one in FILES] == [
        (finished_study / one).read_bytes() for one in FILES
    ]


def test_two_studies_in_one_directory_run_at_once_and_each_as_if_alone(
    project: Path, finished_study: Path
) -> None:
    other = changed_config(project / "other.yaml", ("study", "other"))
    studies = {"micro": "tests/micro.yaml", "other": str(other)}
    names = ("directions/toy/probe.safetensors", "data/lexicon.jsonl")
    with ExitStack() as runs:
        both = []
        for study, config in studies.items():
            files = [f"results/{study}/{name}" for name in names]
            command = [*files, "--cores", "1", "--configfile", config]
            both.append(runs.enter_context(started(project, *command)))
        assert [run.ends() for run in both] == [0, 0], [run.said for run in both]
    alone = made(finished_study / RESULTS)
    for study in studies:
        ours = made(project / "results" / study)
        assert set(names) <= set(ours)
        assert sorted(name for name in ours if ours[name] != alone[name]) == []
