"""Growth of a capture's cost when prompts, tokens, layers, width or batch double.

Every round runs all variants, and compares each with the base in the same round.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from measuring import (
    Figure,
    add_measuring_arguments,
    describe_machine,
    ratios,
    report,
    time_variants,
)
from running import capture_ours, exhaust, generate_plainly
from workloads import (
    Shape,
    Work,
    add_shape_arguments,
    make_model,
    make_prompts,
    make_tokenizer,
    read_shape,
    read_work,
)

BASE = "base"
DOUBLED = {
    "layers": ("layers",),
    "width": ("width", "heads"),
    "prompts": ("prompts",),
    "tokens": ("tokens",),
    "batch": ("batch_size",),
}
"""Settings that double together, by name; heads double with the width, to keep their width."""


def main() -> None:
    """Parse, build one model per shape, time all of them in turn, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    base = Shape(layers=6, width=512, heads=8, vocabulary=8192)
    add_shape_arguments(parser, base, Work(prompts=32, tokens=10, batch_size=8))
    add_measuring_arguments(parser, rounds=5)
    arguments = parser.parse_args()

    from dpo_neurons.running.program import obey_threads

    obey_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        variants = all_variants(arguments, Path(folder))
        here = describe_machine(arguments.device)
        seconds = time_variants(variants, arguments.rounds, arguments.device)
        written = {path.stem: path.stat().st_size for path in Path(folder).glob("*.h5")}
    settings = {
        **vars(read_shape(arguments)),
        **vars(read_work(arguments)),
        "dtype": arguments.dtype,
    }
    report("capture_growth", settings, here, figures(seconds, written))


def all_variants(arguments: argparse.Namespace, folder: Path) -> dict[str, Callable[[], None]]:
    """Return captures of the base and of each doubling, and generation alone for each."""
    base = {**vars(read_shape(arguments)), **vars(read_work(arguments))}
    runs = {BASE: base}
    for name, keys in DOUBLED.items():
        runs[f"{name} × 2"] = {**base, **{key: 2 * base[key] for key in keys}}
    tokenizer = make_tokenizer(arguments.vocabulary)
    models, variants = {}, {}
    for name, run in runs.items():
        shape = replace(Shape(), **{key: run[key] for key in vars(Shape())})
        work = replace(Work(), **{key: run[key] for key in vars(Work())})
        if shape not in models:
            models[shape] = make_model(shape, arguments.dtype, arguments.device)
        prompts = make_prompts(work.prompts, len(tokenizer))
        job = (models[shape], tokenizer, prompts, work.tokens, work.batch_size)
        variants[_plain(name)] = partial(exhaust, generate_plainly, *job)
        variants[name] = partial(capture_ours, *job, folder / f"{name}.h5")
    return variants


def figures(seconds: dict[str, list[float]], written: dict[str, int]) -> list[Figure]:
    """Return each capture's time and bytes as ratios to the base."""
    captures = [name for name in seconds if name in written]
    rows = [
        Figure("base", "s", seconds[BASE]),
        Figure("base, written", "MB", [written[BASE] / 1e6]),
    ]
    for name in captures:
        if name != BASE:
            rows.append(Figure(f"{name}: time ÷ base", "×", ratios(seconds, name, BASE)))
            rows.append(Figure(f"{name}: written ÷ base", "×", [written[name] / written[BASE]]))
        rows.append(Figure(f"{name}: time ÷ generate", "×", ratios(seconds, name, _plain(name))))
    return rows


def _plain(name: str) -> str:
    return f"{name}, generate alone"


if __name__ == "__main__":
    main()
