"""Write the plans of an entry's rows: which neurons change, how, and to what value."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from dpo_neurons.directions.direction_files import read_lengths
from dpo_neurons.interventions.neuron_selection import (
    select_by_cosine,
    select_by_score,
    select_for_editing,
    select_groups,
    select_heads,
    select_listed,
    split_for_editing,
)
from dpo_neurons.interventions.planning import (
    plan_editing,
    plan_for_heads,
    plan_for_neurons,
    plan_steering,
    plan_transplant,
)
from dpo_neurons.interventions.plans import empty_plan, write_plans
from dpo_neurons.models.checkpoint_folder import count_layers
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.neurons.heads import read_heads
from dpo_neurons.neurons.neuron_table import read_neurons
from dpo_neurons.neurons.rankings import read_ranking
from dpo_neurons.running.program import log, run_program
from dpo_neurons.study.data_files import read_rows
from dpo_neurons.study.intervention_rows import (
    PARAMETERS,
    UNPATCHED,
    counts_layers,
    join_lists,
    steered_along,
)

# The parameter `layer` is left out: a plan has a column of that name.
METADATA = ("kind", "control_of", *(name for name in PARAMETERS if name != "layer"))
"""Settings of a row that are columns of its plan."""


@dataclass(frozen=True)
class Sources:
    """The files that an entry's neurons are selected from; what a kind does not need is None."""

    contributions: Path | None
    neurons: Path | None
    heads: Path | None
    ranking: Path | None
    file: Path | None
    checkpoint: Path | None
    direction: Path | None

    @cached_property
    def table(self) -> pd.DataFrame:
        """All neurons, with what a row may select them by."""
        if self.neurons is not None:
            return read_neurons(self.neurons)
        assert self.contributions is not None
        table = read_contributions(self.contributions)
        if self.ranking is not None:
            table = table.merge(read_ranking(self.ranking), on=["layer", "neuron"])
        return table


def select_neurons(row: Mapping[str, Any], sources: Sources) -> pd.DataFrame:
    """Select the neurons that a row changes: some groups, those listed, the top, or all."""
    table = sources.table
    if "groups" in row:
        return select_groups(table, row["groups"])
    if sources.file is not None:
        keys = ("layer", "neuron")
        lines = read_rows(sources.file, keys)
        return select_listed(table, ((at, *(line.get(key) for key in keys)) for at, line in lines))
    if "top" not in row:
        return table
    by = row.get("by", "cosine")
    if by == "cosine":
        return select_by_cosine(table, row["top"], row.get("activation") == "positive")
    return select_by_score(table, scores_of(table, by), row["top"])


def scores_of(table: pd.DataFrame, by: str) -> pd.Series:
    """Return what neurons are ranked by: a column of contributions, or of the ranking."""
    if by == "cosine_size":
        return table["cosine"].abs()
    return table["reduction"] if by == "reduction" else table["score"]


def select_edited(row: Mapping[str, Any], table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Select the neurons that a row of kind edit weakens, and those that it strengthens."""
    if "groups" in row:
        return split_for_editing(table, row["groups"])
    return select_for_editing(table, row["beta"], row.get("without_most_active", 0.0))


def scale_of(row: Mapping[str, Any], sources: Sources) -> float:
    """Return the multiple of a unit vector, or of the shift, that a row steers by."""
    scale = float(row["scale"])
    if row.get("length", "unit") == "unit":
        return scale
    assert sources.direction is not None
    return scale * read_lengths(sources.direction)[0]


def plan_row(row: Mapping[str, Any], sources: Sources) -> pd.DataFrame:
    """Plan a row of the tables, given with its settings as in the configuration."""
    if row["kind"] in UNPATCHED:
        return empty_plan()
    if counts_layers(row):
        assert sources.checkpoint is not None
        n_layers = count_layers(sources.checkpoint)
        if (along := steered_along(row)) is not None:
            return plan_steering(n_layers, str(row["layer"]), scale_of(row, sources), along)
        layers = tuple(row["layers"]) if "layers" in row else None
        chosen = row.get("parts"), layers, row.get("rank")
        return plan_transplant(n_layers, *chosen, row.get("dose", 1.0))
    if "heads" in row:
        assert sources.heads is not None
        return plan_for_heads(select_heads(read_heads(sources.heads), row["heads"]), row)
    if row["kind"] == "edit":
        return plan_editing(*select_edited(row, sources.table), row["alpha"], row["form"])
    return plan_for_neurons(select_neurons(row, sources), row)


def main() -> None:
    """Parse, plan, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", type=json.loads, required=True, help="the rows with their settings, as JSON"
    )
    parser.add_argument("--contributions", type=Path, help="parquet, to select neurons from")
    parser.add_argument("--neurons", type=Path, help="for edit, strip: the first model's, parquet")
    parser.add_argument("--heads", type=Path, help="coordinates of heads, parquet")
    parser.add_argument("--ranking", type=Path, help="scores of neurons, parquet")
    parser.add_argument("--file", type=Path, help="select the neurons in its rows: layer, neuron")
    parser.add_argument("--checkpoint", type=Path, help="the first, for its layers")
    parser.add_argument("--direction", type=Path, help="safetensors, for its length")
    parser.add_argument("--output", type=Path, required=True, help="parquet")
    arguments = parser.parse_args()

    sources = Sources(
        arguments.contributions,
        arguments.neurons,
        arguments.heads,
        arguments.ranking,
        arguments.file,
        arguments.checkpoint,
        arguments.direction,
    )
    plans, metadata = {}, {}
    for row in arguments.rows:
        name = row["intervention"]
        plans[name] = plan_row(row, sources)
        settings = row | join_lists(row)
        settings["file"] = "" if sources.file is None else str(sources.file)
        metadata[name] = {column: settings.get(column) for column in METADATA}
        log.info("%s: %d changes", name, len(plans[name]))
    write_plans(arguments.output, plans, metadata)


if __name__ == "__main__":
    run_program(main)
