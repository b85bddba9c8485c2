"""Honest timing on machines that are noisy: what is compared is run in turn, in one process.

A ratio is taken round by round, between neighbours in time, and its median is reported with its
range; a single time says little. Beside it may stand the ratio of the least times, which needs many
rounds and is then hardly disturbed. Memory is measured in a process of its own.
"""

import argparse
import ctypes
import gc
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

PROJECT = Path(__file__).parents[1]
# Benchmarks are started from anywhere, and measure the code that lies beside them.
sys.path.insert(0, str(PROJECT / "workflow_scripts"))


@dataclass(frozen=True)
class Figure:
    """A line of a benchmark's results: several measurements of one thing."""

    what: str
    unit: str
    """Such as "×", "s" or "MB"."""
    values: Sequence[float]
    """At least one, in the order measured."""
    bar: float | None = None
    """What the median should not exceed."""

    @property
    def median(self) -> float:
        """The measurement that is quoted."""
        return median(self.values)

    def row(self) -> list[str]:
        """Cells of a table: what, median, range, bar, and whether it holds."""
        cells = [self.what, f"{_number(self.median)} {self.unit}"]
        spread = f"{_number(min(self.values))}–{_number(max(self.values))}"
        cells.append(spread if len(self.values) > 1 else "")
        if self.bar is None:
            return [*cells, "", ""]
        return [*cells, _number(self.bar), "held" if self.median <= self.bar else "MISSED"]


def _number(value: float) -> str:
    """Three digits, but never an exponent, and whole numbers whole."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}" if abs(value) >= 1 else f"{value:.4f}"


def measuring_arguments(parser: argparse.ArgumentParser, rounds: int) -> None:
    """Add what every benchmark takes: rounds, device and threads."""
    parser.add_argument(
        "--rounds", type=int, default=rounds, help="counted rounds after a warm-up (%(default)s)"
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument(
        "--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores"
    )


def paired_seconds(
    variants: Mapping[str, Callable[[], object]], rounds: int, device: str = "cpu"
) -> dict[str, list[float]]:
    """Time each variant once a round, after one round that does not count: seconds by name.

    Every other round goes backwards, so that no variant always follows the same one.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds + 1):
        order = list(variants) if number % 2 else list(reversed(variants))
        for name in order:
            gc.collect()
            _wait_for(device)
            start = time.perf_counter()
            variants[name]()
            _wait_for(device)
            if number > 0:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratios(seconds: Mapping[str, Sequence[float]], of: str, to: str) -> list[float]:
    """Time of one variant over that of another, round by round."""
    return [one / other for one, other in zip(seconds[of], seconds[to], strict=True)]


def fastest(seconds: Mapping[str, Sequence[float]], of: str, to: str) -> list[float]:
    """The least time of one variant over the least of another: what disturbs only adds."""
    return [min(seconds[of]) / min(seconds[to])]


def _wait_for(device: str) -> None:
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


class PeakMemory:
    """The most memory that a block takes beyond what was in use before it, in MB.

    On the CPU that of this process, as Linux counts it; on CUDA that of torch's tensors.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self.mb = 0.0

    def __enter__(self) -> "PeakMemory":
        gc.collect()
        if self._device == "cuda":
            import torch

            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
        else:
            # What was freed but not given back would hide what the block takes.
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
            self._before = _status_bytes("VmRSS")
        return self

    def __exit__(self, *error: object) -> None:
        if self._device == "cuda":
            import torch

            peak = torch.cuda.max_memory_allocated()
        else:
            peak = _status_bytes("VmHWM")
        self.mb = (peak - self._before) / 1e6


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def in_fresh_process(script: str, arguments: Sequence[str]) -> Any:  # noqa: ANN401
    """Run a benchmark's script with these arguments; what its last line says, read as JSON."""
    done = subprocess.run(
        [sys.executable, script, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def machine(device: str = "cpu") -> dict[str, object]:
    """What the figures are of: processor, cores, load before, Python, and torch where it runs."""
    described: dict[str, object] = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }
    if "torch" in sys.modules:
        import torch

        described |= {"torch": torch.__version__, "threads": torch.get_num_threads()}
        if device == "cuda":
            described["gpu"] = torch.cuda.get_device_name()
    return described


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def report(
    name: str, settings: Mapping[str, object], here: Mapping[str, object], figures: Sequence[Figure]
) -> None:
    """Print a table for people and, as the last line, the same as JSON with every measurement."""
    print(f"\n{name}: {_listed(settings)}\n{_listed(here)}\n")
    rows = [["what", "median", "range", "bar", ""], *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    rows.insert(1, ["-" * width for width in widths])
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(f"| {' | '.join(cells)} |")
    measured = [
        {
            "what": figure.what,
            "unit": figure.unit,
            "median": figure.median,
            "values": [round(value, 6) for value in figure.values],
            "bar": figure.bar,
        }
        for figure in figures
    ]
    line = {"benchmark": name, "settings": settings, "machine": here, "figures": measured}
    print(f"\n{json.dumps(line, default=str)}")


def _listed(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
