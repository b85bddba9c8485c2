"""Timing on noisy machines: variants run in turn, in one process.

A ratio compares two times of the same round. Its median over rounds is reported with its range.
The ratio of the shortest times may be reported too; with many rounds, noise hardly affects it.
Memory is measured in a separate process.
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
# Benchmarks may be started from anywhere; they measure the code of their own project.
sys.path.insert(0, str(PROJECT / "workflow_scripts"))


@dataclass(frozen=True)
class Figure:
    """A line of a benchmark's results: several measurements of one quantity."""

    what: str
    unit: str
    """Such as "×", "s" or "MB"."""
    values: Sequence[float]
    """One or more measurements, in order of time."""
    bar: float | None = None
    """The limit for the median."""

    @property
    def median(self) -> float:
        """Return the median of the measurements."""
        return median(self.values)

    def row(self) -> list[str]:
        """Return a table's cells: quantity, median, range, limit, and whether it holds."""
        cells = [self.what, f"{_number(self.median)} {self.unit}"]
        spread = f"{_number(min(self.values))}–{_number(max(self.values))}"
        cells.append(spread if len(self.values) > 1 else "")
        if self.bar is None:
            return [*cells, "", ""]
        return [*cells, _number(self.bar), "held" if self.median <= self.bar else "MISSED"]


def _number(value: float) -> str:
    """Format a number with three digits and no exponent; whole numbers stay whole."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}" if abs(value) >= 1 else f"{value:.4f}"


def add_measuring_arguments(parser: argparse.ArgumentParser, rounds: int) -> None:
    """Add the arguments of all benchmarks: rounds, device and threads."""
    parser.add_argument(
        "--rounds", type=int, default=rounds, help="counted rounds after a warm-up (%(default)s)"
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument(
        "--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores"
    )


def time_variants(
    variants: Mapping[str, Callable[[], object]], rounds: int, device: str = "cpu"
) -> dict[str, list[float]]:
    """Time each variant once per round: seconds by name.

    On the CPU it is this process's processor time: other processes hardly change it. On a GPU it is
    the time that passes. A first round does not count. Every other round goes backwards, to vary
    the order.
    """
    read_clock = time.perf_counter if device == "cuda" else time.process_time
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds + 1):
        order = list(variants) if number % 2 else list(reversed(variants))
        for name in order:
            gc.collect()
            _wait_for(device)
            start = read_clock()
            variants[name]()
            _wait_for(device)
            if number > 0:
                seconds[name].append(read_clock() - start)
    return seconds


def ratios(seconds: Mapping[str, Sequence[float]], of: str, to: str) -> list[float]:
    """Return the ratio of two variants' times in each round."""
    return [first / second for first, second in zip(seconds[of], seconds[to], strict=True)]


def fastest_ratio(seconds: Mapping[str, Sequence[float]], of: str, to: str) -> list[float]:
    """Return the ratio of two variants' shortest times; other processes only add time."""
    return [min(seconds[of]) / min(seconds[to])]


def _wait_for(device: str) -> None:
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


class PeakMemory:
    """The peak memory of a block beyond the memory in use before it, in MB.

    On the CPU it is the memory of this process; on CUDA, that of torch's tensors.
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
            # Memory that was freed but not returned would hide the block's own memory.
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


def run_in_fresh_process(script: str, arguments: Sequence[str]) -> Any:  # noqa: ANN401
    """Run a benchmark's script with these arguments, and parse its last line as JSON."""
    done = subprocess.run(
        [sys.executable, script, *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def describe_machine(device: str = "cpu") -> dict[str, object]:
    """Describe the machine: processor, cores, load, Python, and torch if it is loaded."""
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
    """Print a table and, as the last line, JSON with every measurement."""
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
