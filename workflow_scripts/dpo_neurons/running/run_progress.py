"""How far a run is, from Snakemake's own log: what is done, what runs, how long it will take."""

import re
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import mean

from dpo_neurons.errors import InputError

STAMP = re.compile(r"^\[(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4})\]$")
STATS = re.compile(r"^Job stats:\n.*\n[- ]+\n((?:\S+ +\d+\n)+)", re.MULTILINE)
BEGUN = re.compile(r"^(?:local)?(?:rule|checkpoint) (\S+):$")
JOB_ID = re.compile(r"^ {4}jobid: (\d+)$")
OF_JOB = re.compile(r"^ {4}wildcards: (.+)$")
FINISHED = re.compile(r"^Finished jobid: (\d+) \(Rule: (\S+)\)$")
FAILED = re.compile(r"^Error in rule (\S+):$")
CORES = re.compile(r"^Provided cores: (\d+)", re.MULTILINE)


@dataclass
class Job:
    """A job that has begun: its rule, what it runs on, when it began, in seconds since 1970."""

    rule: str
    begun: float
    on: str = ""


@dataclass(frozen=True)
class RunProgress:
    """A run as its log tells it."""

    planned: Counter[str]
    """Jobs of each rule, at the start."""
    done: dict[str, list[float]]
    """Seconds of each finished job, by rule."""
    running: list[Job]
    failed: list[str]
    """Rules of failed jobs."""
    begun: float
    cores: int

    def left(self) -> Counter[str]:
        """Count the jobs of each rule that have not begun."""
        started = Counter({rule: len(seconds) for rule, seconds in self.done.items()})
        started += Counter(job.rule for job in self.running)
        return self.planned - started

    def seconds_left(self, now: float) -> tuple[float, list[str]]:
        """Estimate the seconds to go, and name the rules of which no job has finished yet.

        Jobs that begun and those that are left take as long as the mean of their rule's finished
        ones, on all cores at once. The named rules count as nothing.
        """
        usual = {rule: mean(seconds) for rule, seconds in self.done.items()}
        work = sum(usual.get(rule, 0) * count for rule, count in self.left().items())
        for job in self.running:
            work += max(usual.get(job.rule, 0) - (now - job.begun), 0)
        unknown = [rule for rule in [*self.left(), *{j.rule for j in self.running}]]
        return work / self.cores, sorted({rule for rule in unknown if rule not in usual})


def read_progress(log: Path) -> RunProgress:
    """Read a run's progress from Snakemake's log.

    Raises InputError if the log has no list of jobs, as that of a run with nothing to do.
    """
    text = log.read_text(encoding="utf-8", errors="replace")
    stats = STATS.search(text)
    if stats is None:
        raise InputError(f"{log}: lists no jobs: nothing was to be done, or it is no run's log")
    counts = (line.split() for line in stats[1].splitlines())
    planned = Counter({rule: int(count) for rule, count in counts if rule != "total"})
    jobs: dict[str, Job] = {}
    done: dict[str, list[float]] = {}
    failed: list[str] = []
    stamp, newest, first = 0.0, Job("", 0), 0.0
    is_failure = False
    for line in text.splitlines():
        if match := STAMP.match(line):
            stamp = datetime.strptime(match[1], "%a %b %d %H:%M:%S %Y").timestamp()
            first = first or stamp
        elif match := BEGUN.match(line):
            newest, is_failure = Job(match[1], stamp), False
        elif match := JOB_ID.match(line):
            if is_failure:
                jobs.pop(match[1], None)
            else:
                jobs[match[1]] = newest
        elif match := OF_JOB.match(line):
            newest.on = match[1]
        elif match := FINISHED.match(line):
            job = jobs.pop(match[1], Job(match[2], stamp))
            done.setdefault(job.rule, []).append(stamp - job.begun)
        elif match := FAILED.match(line):
            failed.append(match[1])
            is_failure = True
    cores = CORES.search(text)
    return RunProgress(
        planned, done, list(jobs.values()), failed, first, int(cores[1]) if cores else 1
    )


def describe_progress(progress: RunProgress, now: float) -> str:
    """Describe a run in a few lines."""
    n_done, n = sum(map(len, progress.done.values())), progress.planned.total()
    lines = [f"{n_done} of {n} jobs done in {_minutes(now - progress.begun)}"]
    for job in progress.running:
        on = f" ({job.on})" if job.on else ""
        lines.append(f"  running for {_minutes(now - job.begun)}: {job.rule}{on}")
    if progress.failed:
        lines.append(f"  failed: {', '.join(progress.failed)}")
    if n_done == n:
        return lines[0]
    seconds, unknown = progress.seconds_left(now)
    lines.append(f"about {_minutes(seconds)} to go, from the jobs that are done")
    if unknown:
        lines.append(f"  not counted, since none is done yet: {', '.join(unknown)}")
    return "\n".join(lines)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{max(seconds, 0):.0f} s"


def main() -> None:
    """Describe the newest run in this folder."""
    logs = sorted(Path(".snakemake/log").glob("*.log"), key=lambda path: path.stat().st_mtime)
    if not logs:
        raise SystemExit("no run in this folder: .snakemake/log has no log")
    try:
        print(describe_progress(read_progress(logs[-1]), time.time()))
    except InputError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
