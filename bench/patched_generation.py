"""Cost of generation under a plan for most neurons."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from measuring import (
    Figure,
    add_measuring_arguments,
    describe_machine,
    fastest_ratio,
    ratios,
    report,
    time_variants,
)
from running import exhaust, generate_plainly
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

if TYPE_CHECKING:
    import pandas as pd
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PLAIN, ENTERING = "plain generate", "entering and leaving the plan"
TIME_BAR = 1.03


def main() -> None:
    """Parse, build the model and the plan, time, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_shape_arguments(parser, Shape(), Work())
    add_measuring_arguments(parser, rounds=5)
    parser.add_argument("--share", type=float, default=0.6, help="of all neurons (%(default)s)")
    arguments = parser.parse_args()

    from dpo_neurons.running.program import obey_threads

    obey_threads(arguments.threads)
    shape, work = read_shape(arguments), read_work(arguments)
    model = make_model(shape, arguments.dtype, arguments.device)
    tokenizer = make_tokenizer(shape.vocabulary)
    plan = make_plan(shape.layers, 4 * shape.width, arguments.share)
    variants = all_variants(model, tokenizer, work, plan)
    here = describe_machine(arguments.device)
    seconds = time_variants(variants, arguments.rounds, arguments.device)
    settings = {**vars(shape), **vars(work), "dtype": arguments.dtype, "share": arguments.share}
    report("patched_generation", settings, here, figures(seconds))


def make_plan(n_layers: int, d_mlp: int, share: float) -> pd.DataFrame:
    """Make a plan that sets a random share of all neurons near zero."""
    import numpy as np
    import pandas as pd

    from dpo_neurons.interventions.plans import make_plan

    chosen = np.random.default_rng(0)
    neurons = np.flatnonzero(chosen.random(n_layers * d_mlp) < share)
    table = pd.DataFrame({"layer": neurons // d_mlp, "neuron": neurons % d_mlp})
    return make_plan(table, "set", pd.Series(chosen.normal(0, 0.1, len(table))))


def all_variants(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    work: Work,
    plan: pd.DataFrame,
) -> dict[str, Callable[[], None]]:
    """Return plain generation, patched generation, and entering the plan."""
    from dpo_neurons.interventions.hooks import apply_plan

    prompts = make_prompts(work.prompts, len(tokenizer))
    job = (model, tokenizer, prompts, work.tokens, work.batch_size)

    def patched(positions: str) -> None:
        with apply_plan(model, plan, positions):
            exhaust(generate_plainly, *job)

    def entering() -> None:
        with apply_plan(model, plan, "last"):
            pass

    return {
        PLAIN: lambda: exhaust(generate_plainly, *job),
        "patched at the newest token": lambda: patched("last"),
        "patched at every token": lambda: patched("all"),
        ENTERING: entering,
    }


def figures(seconds: dict[str, list[float]]) -> list[Figure]:
    """Return times as ratios to plain generation."""
    against = [
        figure
        for name in seconds
        if name not in (PLAIN, ENTERING)
        for figure in (
            Figure(f"{name} ÷ {PLAIN}", "×", ratios(seconds, name, PLAIN), TIME_BAR),
            Figure(f"{name} ÷ {PLAIN}, fastest runs", "×", fastest_ratio(seconds, name, PLAIN)),
        )
    ]
    return [
        Figure(PLAIN, "s", seconds[PLAIN]),
        *against,
        Figure(f"{ENTERING}, in it", "s", seconds[ENTERING]),
    ]


if __name__ == "__main__":
    main()
