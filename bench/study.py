"""Processor time of a study's rows, against the same rows run one by one as in a notebook."""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import (
    PROJECT,
    Figure,
    add_measuring_arguments,
    describe_machine,
    ratios,
    report,
)
from study_files import PROGRAMS, Texts, entries_of, read_study, write_study
from workloads import (
    Shape,
    Work,
    add_shape_arguments,
    make_model,
    make_smollm2,
    read_shape,
    read_work,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NOTEBOOK = "a notebook: load, hook, generate, perplexity for each row"
OURS = "run_interventions, faithfulness on one answer and one window"
COMPARED = "run_interventions, faithfulness as configured"
ENTRIES = ["ablate_top", "patch_all_four", "steer_last"]
LIMITS = {"÷ notebook": 0.6, "a row": 1.5}
FIXED_COST = {
    **vars(Shape(layers=2, width=16, heads=2, vocabulary=100)),
    **vars(Work(prompts=4, tokens=2, batch_size=4)),
    **{"references": 2, "windows": 1, "window": 8},
}
"""A model and texts that cost next to nothing: imports, loading, plans and files remain."""


def parse_arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_shape_arguments(parser, Shape(), Work(prompts=256, batch_size=256))
    add_measuring_arguments(parser, rounds=1)
    parser.add_argument(
        "--configfile", type=Path, default=PROJECT / "config/smollm2-135m.yaml",
        help="whose rows run (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--entries", nargs="+", default=ENTRIES, help=f"or all (default: {' '.join(ENTRIES)})"
    )
    parser.add_argument("--references", type=int, default=64, help="sentences (%(default)s)")
    parser.add_argument("--windows", type=int, default=14, help="of text (%(default)s)")
    parser.add_argument("--window", type=int, default=512, help="tokens of each (%(default)s)")
    parser.add_argument("--checkpoint", type=Path, help="a folder in place of random weights")
    parser.add_argument(
        "--smollm2", action="store_true", help="SmolLM2 135M's shape in place of GPT-2's"
    )
    parser.add_argument(
        "--fixed-cost", action="store_true", help="measure what rows cost on a model of no size"
    )
    arguments = parser.parse_args(given)
    if arguments.fixed_cost:
        arguments.entries = ["all"]
        for name, value in FIXED_COST.items():
            setattr(arguments, name, value)
    return arguments


def main() -> None:
    """Make checkpoints and texts, time, report."""
    arguments = parse_arguments()
    study = read_study(arguments.configfile)
    entries = entries_of(study, arguments.entries)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        n_rows = write_study(folder, load(arguments), study, entries, texts_of(arguments))
        variants = all_variants(folder, entries, arguments, study.config["faithfulness"])
        seconds = processor_seconds(variants, arguments.rounds)
    left_out = [entry for entry in study.rows_by_entry if entry not in entries]
    described = {
        **describe_model(arguments), **vars(read_work(arguments)),
        **{name: getattr(arguments, name) for name in ("references", "windows", "window", "dtype")},
        "configuration": arguments.configfile.stem, "entries": len(entries), "rows": n_rows,
        "left out": " ".join(left_out) or "none",
    }  # fmt: skip
    report("study", described, describe_machine(arguments.device), figures(seconds, n_rows))


def figures(seconds: dict[str, list[float]], n_rows: int) -> list[Figure]:
    """Return whole times, times a row, and ratios to the notebook where it ran."""
    listed = [Figure(f"{name}, processor time", "s", spent) for name, spent in seconds.items()]
    for name, spent in seconds.items():
        limit = LIMITS["a row"] if NOTEBOOK not in seconds else None
        listed.append(Figure(f"{name}, a row", "s", [each / n_rows for each in spent], limit))
    if NOTEBOOK in seconds:
        for name, limit in ((OURS, LIMITS["÷ notebook"]), (COMPARED, None)):
            listed.append(Figure(f"{name} ÷ notebook", "×", ratios(seconds, name, NOTEBOOK), limit))
    return listed


def load(arguments: argparse.Namespace) -> PreTrainedModel:
    """Return the model that both checkpoints are."""
    from transformers import AutoModelForCausalLM

    if arguments.checkpoint:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(arguments.checkpoint)
        return model
    if arguments.smollm2:
        return make_smollm2()
    return make_model(read_shape(arguments), "float32", "cpu")


def describe_model(arguments: argparse.Namespace) -> dict[str, object]:
    """Describe the model for the report."""
    if arguments.checkpoint:
        return {"checkpoint": arguments.checkpoint.name}
    return {"shape": "SmolLM2 135M"} if arguments.smollm2 else vars(read_shape(arguments))


def texts_of(arguments: argparse.Namespace) -> Texts:
    """Return how much text the rows read."""
    return Texts(
        arguments.prompts, arguments.references, arguments.windows, arguments.window,
        arguments.tokens - 1,
    )  # fmt: skip


def all_variants(
    folder: Path, entries: list[str], arguments: argparse.Namespace, compared: dict[str, int]
) -> dict[str, Callable[[], object]]:
    """Return the notebook and our program, without and with faithfulness; ours alone at no size."""
    job = folder, entries, arguments
    ours = {
        OURS: lambda: run_entries(*job, 1, 1),
        COMPARED: lambda: run_entries(*job, compared["prompts"], compared["windows"]),
    }
    if arguments.fixed_cost:
        return {OURS: ours[OURS]}
    return {NOTEBOOK: lambda: run_notebook(folder, arguments), **ours}


def run_notebook(folder: Path, arguments: argparse.Namespace) -> None:
    """Run all rows in one process, one by one."""
    names = ("tokens", "batch_size", "window", "threads", "dtype", "device")
    options = [f"--{name.replace('_', '-')}={getattr(arguments, name)}" for name in names]
    program = Path(__file__).with_name("notebook.py")
    subprocess.run([sys.executable, program, folder, *options], check=True, capture_output=True)


def run_entries(
    folder: Path, entries: list[str], arguments: argparse.Namespace, prompts: int, windows: int
) -> None:
    """Run each entry's rows in a process, as the workflow does."""
    program = PROGRAMS / "interventions/run_interventions.py"
    for entry in entries:
        options = {
            "rows": (folder / entry / "rows.json").read_text(),
            "stage": (folder / entry / "stage").read_text(),
            "plans": folder / entry / "plans.parquet",
            "checkpoint-pre": folder / "pre", "checkpoint-post": folder / "post",
            "pair": folder / "pair.json", "tokenizer": folder / "pre",
            "direction": folder / "direction.safetensors",
            "challenge-prompts": folder / "challenge.jsonl",
            "reference-sentences": folder / "references.jsonl",
            "perplexity-text": folder / "text.jsonl", "answers": folder / "answers.jsonl",
            "tokens": arguments.tokens, "window": arguments.window, "dtype": arguments.dtype,
            "attention": "default", "batch-size": arguments.batch_size,
            "device": arguments.device, "threads": arguments.threads,
            "compared-prompts": prompts, "compared-windows": windows,
            "perplexity-output": folder / "p.json",
            "challenge-prompts-output": folder / "c.jsonl",
            "reference-sentences-output": folder / "r.jsonl",
            "faithfulness-output": folder / "f.parquet",
        }  # fmt: skip
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        subprocess.run([sys.executable, program, *words], check=True, capture_output=True)


def processor_seconds(
    variants: dict[str, Callable[[], object]], rounds: int
) -> dict[str, list[float]]:
    """Measure the processor time of each variant's processes, once a round: seconds by name.

    Every other round goes backwards. Processes are fresh, so the first round counts too.
    """
    spent: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds):
        for name in reversed(variants) if number % 2 else variants:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            variants[name]()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return spent


if __name__ == "__main__":
    main()
