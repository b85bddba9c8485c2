"""Split the shift of the residual stream along a direction by what wrote it."""

import argparse
from pathlib import Path

import pandas as pd

from dpo_neurons.activations.cache import (
    DATASETS,
    SAME_TEXT_DATASETS,
    STREAM_DATASETS,
    open_cache,
    open_cache_pair,
)
from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.files.hdf5 import read_attributes
from dpo_neurons.files.tables import write_csv, write_table
from dpo_neurons.neurons.heads import describe_heads
from dpo_neurons.neurons.stream_split import (
    TOLERANCE,
    StreamParts,
    check_sums,
    read_stream_parts,
    split_shift,
)
from dpo_neurons.running.program import add_bootstrap_arguments, log, run_program


def main() -> None:
    """Parse, split on each model's own text and on the first one's, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for stage in ("pre", "post"):
        parser.add_argument(f"--checkpoint-{stage}", type=Path, required=True)
        parser.add_argument(f"--activations-{stage}", type=Path, required=True, help="HDF5")
    parser.add_argument("--activations-crossed", type=Path, required=True, help="HDF5")
    parser.add_argument("--direction", type=Path, required=True, help="only its first row counts")
    add_bootstrap_arguments(parser)
    parser.add_argument("--parts", type=Path, required=True, help="csv, one row per part")
    parser.add_argument("--layers", type=Path, required=True, help="csv, three rows per layer")
    parser.add_argument("--totals", type=Path, required=True, help="csv, one row per kind of part")
    parser.add_argument("--heads", type=Path, required=True, help="parquet, a row per coordinate")
    arguments = parser.parse_args()

    direction = read_direction(arguments.direction)[0]

    def read(checkpoint: Path, cache_path: Path, text: str = "") -> StreamParts:
        datasets = ("mask", *SAME_TEXT_DATASETS) if text else (*DATASETS, *STREAM_DATASETS)
        with open_cache(cache_path, datasets) as cache:
            parts = read_stream_parts(checkpoint, cache, direction, arguments.direction, text)
            tolerance = TOLERANCE[read_attributes(cache)["dtype"]]
        error = check_sums(parts, tolerance, cache_path, checkpoint)
        log.info("%s: parts add up to the stream within %.2g (relative)", cache_path.name, error)
        return parts

    first = read(arguments.checkpoint_pre, arguments.activations_pre)
    seconds = {
        "own": read(arguments.checkpoint_post, arguments.activations_post),
        "same": read(arguments.checkpoint_post, arguments.activations_crossed, "_same_text"),
    }
    bootstrap = arguments.resamples, arguments.level, arguments.seed
    tables = {text: split_shift(first, second, *bootstrap) for text, second in seconds.items()}
    paths = arguments.parts, arguments.layers, arguments.totals
    for path, by_text in zip(paths, zip(*tables.values(), strict=True), strict=True):
        table = pd.concat(by_text, keys=tables, names=["text"])
        write_csv(path, table.reset_index(level="text"))
    with open_cache_pair(arguments.activations_pre, arguments.activations_post) as (pre, post):
        write_table(arguments.heads, describe_heads(pre, post, tables["own"][0]))
    for text, (_, _, totals) in tables.items():
        log.info("%s text\n%s", text, totals.to_string(index=False))


if __name__ == "__main__":
    run_program(main)
