"""Time of tables with one row per neuron, at a large model's size.

One limit is for computations per neuron, in memory: contributions, groups, figures' aggregates.
Cross-fitting has a limit of its own. Other steps are reported without a limit: the bootstrap over
prompts, which reads every prompt's activations; the dot products with value vectors, one layer at a
time; writing and reading the table. Nothing here needs a GPU.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from measuring import Figure, describe_machine, report, time_variants

# isort: split
# These imports work because `measuring` puts workflow_scripts on the path.
import h5py
import numpy as np
import pandas as pd

from dpo_neurons.figures import (
    activation_changes,
    projection_shifts,
    rank_composition,
    top_activations,
)
from dpo_neurons.figures.style import median_size
from dpo_neurons.models.value_vectors import lengths
from dpo_neurons.neurons.cancellation import strongest_neurons, tabulate_cancellation
from dpo_neurons.neurons.change_correlations import change_of_activation
from dpo_neurons.neurons.contributions import (
    compute_contributions,
    identity_error,
    read_contributions,
)
from dpo_neurons.neurons.cross_fitted_curve import cross_fit_curve
from dpo_neurons.neurons.cross_fitted_groups import cross_fit_groups
from dpo_neurons.neurons.decomposition import split_reductions, sum_sources
from dpo_neurons.neurons.prompt_projections import PromptProjections
from dpo_neurons.neurons.resampled_curve import choose_ranks, summarise_cancellation
from dpo_neurons.neurons.summaries import (
    cross_fit_positive,
    group_sets,
    sum_by_group,
    summarise_groups,
    summarise_totals,
)

BAR_SECONDS = 1.0
CROSS_FITTING_BAR_SECONDS = 5.0
BOOTSTRAP = (2000, 0.95, 0)
"""Resamples, level and seed."""


@dataclass(frozen=True)
class Numbers:
    """Random numbers of two checkpoints, as in a model: (n_layers, d_mlp) each."""

    activation_pre: np.ndarray
    activation_post: np.ndarray
    along_pre: np.ndarray
    along_post: np.ndarray
    norms: np.ndarray


def main() -> None:
    """Parse, make the numbers, time, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("layers", 32), ("d-mlp", 14336), ("d-model", 4096), ("prompts", 64)):
        parser.add_argument(f"--{name}", type=int, default=value, help="%(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="after a warm-up (%(default)s)")
    arguments = parser.parse_args()

    numbers = make_numbers(arguments.layers, arguments.d_mlp)
    table = compute_contributions(*vars(numbers).values(), "v1")
    with tempfile.TemporaryDirectory() as folder:
        counted = counted_steps(numbers, table)
        beside = steps_beside(table, numbers, arguments.prompts, arguments.d_model, Path(folder))
        crossfitted = cross_fitting_steps(table, Path(folder))
        here = describe_machine()
        seconds = time_variants({**counted, **crossfitted, **beside}, arguments.rounds)
    report(
        "neuron_tables", vars(arguments), here, figures(seconds, counted, crossfitted, len(table))
    )


def figures(
    seconds: dict[str, list[float]],
    counted: dict[str, Callable[[], object]],
    crossfitted: dict[str, Callable[[], object]],
    neurons: int,
) -> list[Figure]:
    """All counted steps together and all of cross-fitting, then each step by itself."""

    def add_up(names: Iterable[str]) -> list[float]:
        return [sum(times) for times in zip(*(seconds[name] for name in names), strict=True)]

    beside = [name for name in seconds if name not in counted]
    return [
        Figure(f"in all, {neurons:,} neurons", "s", add_up(counted), BAR_SECONDS),
        Figure("cross-fitting", "s", add_up(crossfitted), CROSS_FITTING_BAR_SECONDS),
        *(Figure(f"counted: {name}", "s", seconds[name]) for name in counted),
        *(Figure(f"beside: {name}", "s", seconds[name]) for name in beside),
    ]


def make_numbers(n_layers: int, d_mlp: int) -> Numbers:
    """Make activations, few of them far above zero, and similar value vectors."""
    rng = np.random.default_rng(0)
    shape = (n_layers, d_mlp)
    pre = np.where(rng.random(shape) < 0.1, rng.exponential(0.3, shape), -0.17 * rng.random(shape))
    post = pre + 0.02 * rng.standard_t(2.5, shape)
    norms = rng.uniform(0.5, 2, shape)
    along = norms * rng.normal(0, 0.02, shape)
    moved = along * (1 + 1e-4 * rng.normal(size=shape))
    return Numbers(pre.astype(np.float32), post.astype(np.float32), along, moved, norms)


def counted_steps(numbers: Numbers, table: pd.DataFrame) -> dict[str, Callable[[], object]]:
    """Return the programs' computations per neuron, by name."""
    drops = table.groupby("layer")["reduction"].sum().to_numpy()
    few = PromptProjections(np.ones((8, 8)), np.full(8, 20))
    ranks = projection_shifts.aggregate
    return {
        "contributions": partial(compute_contributions, *vars(numbers).values(), "v1"),
        "identity check": partial(identity_error, table, drops),
        "group sets and sums": lambda: (
            group_sets(table),
            sum_by_group(table, few, few, *BOOTSTRAP),
        ),
        "figure 2b": partial(rank_composition.aggregate, table, 10000, 100),
        "figure 2c": partial(ranks, table, "reduction", 1, 300, "projection"),
        "figure 4": partial(top_activations.aggregate, table, 100),
        "figure 5a": partial(ranks, table, "reduction", 1, 200, "activation"),
        "figure 5b": partial(ranks, table, "reduction", 3001, 3200, "activation"),
        "figure 7": lambda: (tabulate_cancellation(table), strongest_neurons(table, 10)),
        "figure 10": partial(_figure_10, table),
        "figure 13": partial(_figure_13, numbers, table),
    }


def _figure_10(table: pd.DataFrame) -> pd.DataFrame:
    constant = median_size(change_of_activation(table).to_numpy())
    return activation_changes.aggregate(table, activation_changes.BINS, constant)


def _figure_13(numbers: Numbers, table: pd.DataFrame) -> pd.DataFrame:
    between, reading = numbers.activation_post, numbers.activation_pre
    return sum_sources(
        split_reductions(table, numbers.along_pre, numbers.along_post, between, reading)
    )


def steps_beside(
    table: pd.DataFrame, numbers: Numbers, n_prompts: int, d_model: int, folder: Path
) -> dict[str, Callable[[], object]]:
    """Return the steps that read prompts, value vectors or files, by name."""
    caches = {
        stage: write_prompts(folder / f"{stage}.h5", n_prompts, means)
        for stage, means in (("pre", numbers.activation_pre), ("post", numbers.activation_post))
    }
    values = np.random.default_rng(1).normal(size=(numbers.norms.shape[1], d_model))
    values = values.astype(np.float32)
    path = folder / "contributions.parquet"
    table.to_parquet(path, index=False)
    prompts = f"{n_prompts} prompts"
    return {
        f"groups, both, {prompts}": partial(_summarise, summarise_groups, table, caches, "v1"),
        f"totals, both, {prompts}": partial(_summarise, summarise_totals, table, caches),
        f"figure 8, both, {prompts}": partial(_summarise, summarise_cancellation, table, caches),
        "dot products and norms, a layer": partial(_project, values, np.ones(d_model)),
        "writing the table": partial(table.to_parquet, folder / "again.parquet", index=False),
        "reading the table": partial(read_contributions, path),
    }


def cross_fitting_steps(table: pd.DataFrame, folder: Path) -> dict[str, Callable[[], object]]:
    """What cross-fitting adds to groups, totals and figure 8, on the caches in a folder."""
    caches = {stage: folder / f"{stage}.h5" for stage in ("pre", "post")}
    ranks = choose_ranks(table.sort_values("rank")["reduction"].to_numpy())
    curve = (ranks.points, ranks.reducing_bins)
    return {
        "cross-fitted groups": partial(_summarise, cross_fit_groups, table, caches, "v1"),
        "cross-fitted totals": partial(_summarise, cross_fit_positive, table, caches),
        "cross-fitted curve": partial(_summarise, cross_fit_curve, table, caches, *curve),
    }


def write_prompts(path: Path, n_prompts: int, means: np.ndarray) -> Path:
    """Write a cache with only each prompt's activations, scattered around the means."""
    rng = np.random.default_rng(2)
    with h5py.File(path, "w") as file:
        shape, chunks = (n_prompts, *means.shape), (min(n_prompts, 16), 1, means.shape[1])
        dataset = file.create_dataset("mlp_post", shape, np.float16, chunks=chunks)
        for layer, mean in enumerate(means):
            dataset[:, layer] = mean * rng.uniform(0, 2, (n_prompts, 1))
        file["mask"] = np.ones((n_prompts, 20), dtype=bool)
    return path


def _summarise(
    summarise: Callable[..., object],
    table: pd.DataFrame,
    caches: dict[str, Path],
    *settings: object,
) -> object:
    """Run one of the package's summaries on both caches."""
    with h5py.File(caches["pre"]) as pre, h5py.File(caches["post"]) as post:
        return summarise(table, pre, post, *settings, *BOOTSTRAP)


def _project(values: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project a layer's vectors, as the package's project_written_vectors does."""
    wide = values.astype(np.float64)
    return wide @ direction, lengths(wide)


if __name__ == "__main__":
    main()
