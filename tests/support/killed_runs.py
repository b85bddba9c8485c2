"""Running Snakemake so that it can be killed, and comparing what two studies made."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NOT_COMPARED = ("logs", "benchmarks")
"""Folders of a study's results that hold times."""


@contextmanager
def started(directory: Path, *arguments: str) -> Iterator["Run"]:
    """Start Snakemake; remaining processes are killed at the end of the block."""
    said = directory.parent / f"said-{time.monotonic_ns()}.txt"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with said.open("w") as output:
        process = subprocess.Popen(
            ["snakemake", *arguments],
            cwd=directory,
            env={**os.environ, "PATH": path},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    run = Run(process, said)
    try:
        yield run
    finally:
        run.kill_all()


class Run:
    """A Snakemake with its jobs, which are one group of processes."""

    def __init__(self, process: subprocess.Popen[bytes], said: Path) -> None:
        self.process = process
        self._said = said

    @property
    def said(self) -> str:
        """Its output so far."""
        return self._said.read_text(encoding="utf-8")

    def waits_for(self, words: str, times: int = 1) -> bool:
        """Wait until its output has these words `times` times; return False if it ends before."""
        while self.said.count(words) < times:
            if self.process.poll() is not None:
                return False
            time.sleep(0.02)
        return True

    def ends(self) -> int:
        """Wait for its end; returns the exit status."""
        return self.process.wait(timeout=600)

    def kill_all(self) -> None:
        """Kill Snakemake and its jobs, as a machine that dies does."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_snakemake(self) -> None:
        """Kill Snakemake alone: its jobs go on without it."""
        self.process.kill()
        self.process.wait()

    def jobs(self) -> list[int]:
        """Process ids of the programs that run now."""
        processes = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                ours = os.getpgid(int(entry.name)) == self.process.pid
            except (FileNotFoundError, ProcessLookupError):
                continue
            if ours and len(words) > 1 and words[1].startswith(b"workflow_scripts/"):
                processes.append(int(entry.name))
        return sorted(processes)


def made(results: Path) -> dict[str, bytes]:
    """Content of every file of a study's results, by path; times are left out."""
    files = {path.relative_to(results): path for path in results.rglob("*") if path.is_file()}
    return {
        name.as_posix(): path.read_bytes()
        for name, path in files.items()
        if name.parts[0] not in NOT_COMPARED and name.name != ".snakemake_timestamp"
    }
