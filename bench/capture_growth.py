"""How the cost of a capture grows: prompts, tokens, layers, width and batch, each doubled.

Every variant runs in every round, so that each is compared with the base beside it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from made import (
    Shape,
    Work,
    made_model,
    made_prompts,
    made_tokenizer,
    shape_arguments,
    shape_of,
    work_of,
)
from measuring import Figure, machine, measuring_arguments, paired_seconds, ratios, report
from running import capture_ours, exhaust, generate_plainly

BASE, MEANS_ONLY = "base", "means only"
DOUBLED = {
    "layers": ("layers",),
    "width": ("width", "heads"),
    "prompts": ("prompts",),
    "tokens": ("tokens",),
    "batch": ("batch_size",),
}
"""What is doubled together, by name; heads with the width, so that each head stays as wide."""


def main() -> None:
    """Parse, build a model a shape, time all of them in turn, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    base = Shape(layers=6, width=512, heads=8, vocabulary=8192)
    shape_arguments(parser, base, Work(prompts=32, tokens=10, batch_size=8))
    measuring_arguments(parser, rounds=5)
    arguments = parser.parse_args()

    from dpo_neurons.running.program import obey_threads

    obey_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        variants = all_variants(arguments, Path(folder))
        here = machine(arguments.device)
        seconds = paired_seconds(variants, arguments.rounds, arguments.device)
        written = {path.stem: path.stat().st_size for path in Path(folder).glob("*.h5")}
    settings = {**vars(shape_of(arguments)), **vars(work_of(arguments)), "dtype": arguments.dtype}
    report("capture_growth", settings, here, figures(seconds, written))


def all_variants(arguments: argparse.Namespace, folder: Path) -> dict[str, Callable[[], None]]:
    """Captures of the base and of each doubling, each with generation alone beside it."""
    base = {**vars(shape_of(arguments)), **vars(work_of(arguments))}
    runs = {BASE: base}
    for name, keys in DOUBLED.items():
        runs[f"{name} × 2"] = {**base, **{key: 2 * base[key] for key in keys}}
    tokenizer = made_tokenizer(arguments.vocabulary)
    models, variants = {}, {}
    for name, run in runs.items():
        shape = replace(Shape(), **{key: run[key] for key in vars(Shape())})
        work = replace(Work(), **{key: run[key] for key in vars(Work())})
        if shape not in models:
            models[shape] = made_model(shape, arguments.dtype, arguments.device)
        prompts = made_prompts(work.prompts, len(tokenizer))
        job = (models[shape], tokenizer, prompts, work.tokens, work.batch_size)
        variants[_plain(name)] = partial(exhaust, generate_plainly, *job)
        variants[name] = partial(capture_ours, *job, folder / f"{name}.h5")
        if name == BASE:
            variants[MEANS_ONLY] = partial(
                capture_ours, *job, folder / f"{MEANS_ONLY}.h5", means_only=True
            )
    return variants


def figures(seconds: dict[str, list[float]], written: dict[str, int]) -> list[Figure]:
    """Time and bytes of each capture as ratios to the base's, and its time to generation's."""
    captures = [name for name in seconds if name in written]
    rows = [
        Figure("base", "s", seconds[BASE]),
        Figure("base, written", "MB", [written[BASE] / 1e6]),
    ]
    for name in captures:
        if name != BASE:
            rows.append(Figure(f"{name}: time ÷ base", "×", ratios(seconds, name, BASE)))
            rows.append(Figure(f"{name}: written ÷ base", "×", [written[name] / written[BASE]]))
        plain = _plain(BASE if name == MEANS_ONLY else name)
        rows.append(Figure(f"{name}: time ÷ generate", "×", ratios(seconds, name, plain)))
    return rows


def _plain(name: str) -> str:
    return f"{name}, generate alone"


if __name__ == "__main__":
    main()
