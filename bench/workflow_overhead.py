"""Overhead of Snakemake and of starting programs.

Runs a study once in a copy of the project, or uses the finished study of a given directory. Then it
runs Snakemake again with nothing to do. A job's own computation is the time in its benchmark file
minus the time of imports, which Python reports (PYTHONPROFILEIMPORTTIME). The rest is overhead.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml
from measuring import PROJECT, Figure, describe_machine, report

NOTHING_BAR, JOB_BAR = 5.0, 4.0
SLOW_IMPORTS = 2.0
"""Seconds of imports above which a program loads torch."""
NOT_COPIED = ("results", ".snakemake", ".git", ".venv", "__pycache__", ".*_cache", "report.html")


@dataclass(frozen=True)
class Job:
    """A job that ran."""

    rule: str
    seconds: float
    """Seconds from its start to its end."""
    imports: float
    """Seconds of imports within these; NaN if the log has none."""


def main() -> None:
    """Parse, run the study unless it is finished, time another run, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configfile", default="tests/micro.yaml", help="%(default)s")
    parser.add_argument("--cores", type=int, default=1, help="%(default)s; 1 tells most")
    parser.add_argument("--rounds", type=int, default=3, help="with nothing to do (%(default)s)")
    parser.add_argument(
        "--directory",
        type=Path,
        help="a copy of the project; made if it does not exist (default: a temporary one)",
    )
    arguments = parser.parse_args()

    here = describe_machine()
    with tempfile.TemporaryDirectory() as temporary:
        directory = (arguments.directory or Path(temporary, "project")).resolve()
        if not directory.exists():
            copy_project(directory)
        results = directory / results_of(directory / arguments.configfile)
        if not (results / "benchmarks").exists():
            run_study(directory, arguments.configfile, arguments.cores)
        wall, cores = last_full_run(directory)
        jobs = jobs_of(results)
        nothing = [
            run_study(directory, arguments.configfile, arguments.cores)
            for _ in range(arguments.rounds + 1)
        ][1:]
    settings = {"study": arguments.configfile, "cores": cores, "jobs": len(jobs)}
    report("workflow_overhead", settings, here, figures(jobs, wall, cores, nothing))


def figures(jobs: list[Job], wall: float, cores: int, nothing: list[float]) -> list[Figure]:
    """Return overheads; wall, nothing: seconds of a whole run, of empty runs."""
    rows = [Figure("nothing to do", "s", nothing, NOTHING_BAR), Figure("whole run", "s", [wall])]
    together = sum(job.seconds for job in jobs)
    between = (wall * cores - together) / len(jobs)
    timed = [job for job in jobs if job.imports == job.imports]
    if len(timed) < len(jobs):
        return [*rows, Figure("between jobs, a job", "s", [between])]
    own = sum(job.seconds - job.imports for job in jobs)
    with_torch = [job.imports for job in jobs if job.imports >= SLOW_IMPORTS]
    without = [job.imports for job in jobs if job.imports < SLOW_IMPORTS]
    rows += [
        Figure("the steps' own computation", "s", [own]),
        Figure("whole run ÷ own computation on all cores", "×", [wall * cores / own]),
        Figure("overhead a job, mean", "s", [(wall * cores - own) / len(jobs)], JOB_BAR),
        Figure("overhead of each job", "s", [job.imports + between for job in jobs]),
        Figure("of it between jobs, mean", "s", [between]),
    ]
    for name, imports in (("with torch", with_torch), ("without torch", without)):
        if imports:
            what = f"of it imports, {len(imports)} jobs {name}"
            rows.append(Figure(what, "s", imports))
    return rows


def copy_project(to: Path) -> None:
    """Copy the project without its results."""
    shutil.copytree(PROJECT, to, ignore=shutil.ignore_patterns(*NOT_COPIED))


def results_of(config: Path) -> Path:
    """Return the path of a study's results, relative to the project."""
    return Path("results") / yaml.safe_load(config.read_text(encoding="utf-8"))["study"]


def run_study(directory: Path, config: str, cores: int) -> float:
    """Run Snakemake to the last figure; return the seconds.

    Raises RuntimeError with Snakemake's output if it fails.
    """
    command = [sys.executable, "-m", "snakemake", "figures"]
    command += ["--cores", str(cores), "--configfile", config]
    scripts = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PYTHONPROFILEIMPORTTIME": "1",
        # The rules start the first `python` on the path.
        "PATH": os.pathsep.join([str(scripts), os.environ["PATH"]]),
    }
    finished = (directory / results_of(directory / config) / "benchmarks").exists()
    if finished:
        del environment["PYTHONPROFILEIMPORTTIME"]
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-4000:])
    return seconds


def last_full_run(directory: Path) -> tuple[float, int]:
    """Return seconds and cores of the last complete run, from Snakemake's logs.

    Raises FileNotFoundError if there is none.
    """
    for log in sorted((directory / ".snakemake/log").glob("*.log"), reverse=True):
        text = log.read_text(encoding="utf-8", errors="replace")
        elapsed = re.search(r"^Elapsed time: (\d+):(\d+):([\d.]+)", text, re.MULTILINE)
        cores = re.search(r"^Provided cores: (\d+)", text, re.MULTILINE)
        if "steps (100%) done" in text and elapsed and cores:
            hours, minutes, seconds = elapsed.groups()
            return 3600 * int(hours) + 60 * int(minutes) + float(seconds), int(cores[1])
    raise FileNotFoundError(f"{directory}: no log of a run to its end in .snakemake/log")


def jobs_of(results: Path) -> list[Job]:
    """Read the jobs of a finished study from their benchmark files and logs."""
    jobs = []
    for file in sorted((results / "benchmarks").rglob("*.tsv")):
        name = file.relative_to(results / "benchmarks")
        seconds = float(pd.read_csv(file, sep="\t")["s"].iloc[0])
        log = (results / "logs" / name).with_suffix(".log")
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        jobs.append(Job(name.parts[0].removesuffix(".tsv"), seconds, import_seconds(text)))
    return jobs


def import_seconds(log: str) -> float:
    """Return the total seconds of imports in a program's log; NaN if it lists none."""
    own = re.findall(r"import time: +(\d+) \|", log)
    return sum(map(int, own)) / 1e6 if own else float("nan")


if __name__ == "__main__":
    main()
