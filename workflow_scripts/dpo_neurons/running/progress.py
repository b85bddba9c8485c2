"""How far a job is, with rate and remaining time: a bar in its log, a line on the terminal."""

import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from tqdm import tqdm

BAR_SECONDS = 5.0
LINE_SECONDS = 15.0
"""Between two lines on the terminal; a job that is over sooner leaves none."""


class Progress(tqdm):  # type: ignore[misc]  # tqdm has no types
    """A bar on standard error, which is a job's log, and lines on standard output.

    Snakemake passes a job's standard output on to the terminal, where several jobs' bars would
    overwrite each other. A program that is started by hand draws its bar there and says no lines.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, mininterval=BAR_SECONDS, **named)
        self._told = time.monotonic()

    def __iter__(self) -> Iterator[Any]:
        """Yield the items, and count each when the next is asked for."""
        try:
            for item in self.iterable:
                yield item
                self.update()
        finally:
            self.close()

    def update(self, n: float = 1) -> bool | None:
        """Count n more."""
        drawn: bool | None = super().update(n)
        now = time.monotonic()
        if not self.disable and not sys.stderr.isatty() and now - self._told >= LINE_SECONDS:
            self._told = now
            print(f"{job_name(sys.argv)}: {self}", flush=True)
        return drawn


def job_name(command: list[str]) -> str:
    """What a job is called on the terminal: its program and the first file that it writes."""
    for option, value in pairwise(command):
        if option.startswith("--") and option.endswith("output"):
            return f"{Path(command[0]).stem} {value}"
    return Path(command[0]).stem
