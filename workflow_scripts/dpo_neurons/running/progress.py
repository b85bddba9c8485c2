"""Progress of a job: a bar in its log, lines on the terminal."""

import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from tqdm import tqdm

BAR_SECONDS = 5.0
LINE_SECONDS = 15.0
"""Time between two lines on the terminal; a job that ends sooner prints none."""


class Progress(tqdm):  # type: ignore[misc]  # tqdm has no types
    """A progress bar on standard error and progress lines on standard output.

    Standard error is a job's log. Snakemake passes standard output on to the terminal, where the
    bars of several jobs would overwrite each other; lines do not. A program that is started by
    hand draws its bar on the terminal and prints no lines.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, mininterval=BAR_SECONDS, **named)
        self._printed_at = time.monotonic()

    def __iter__(self) -> Iterator[Any]:
        """Yield the items; an item counts once the next is requested."""
        try:
            for item in self.iterable:
                yield item
                self.update()
        finally:
            self.close()

    def update(self, n: float = 1) -> bool | None:
        """Count n more items."""
        drawn: bool | None = super().update(n)
        now = time.monotonic()
        is_due = now - self._printed_at >= LINE_SECONDS
        if is_due and not self.disable and not sys.stderr.isatty():
            self._printed_at = now
            print(f"{job_name(sys.argv)}: {self}", flush=True)
        return drawn


def job_name(command: list[str]) -> str:
    """Return a job's name for the terminal: its program and its first output."""
    for option, value in pairwise(command):
        if option.startswith("--") and option.endswith("output"):
            return f"{Path(command[0]).stem} {value}"
    return Path(command[0]).stem
