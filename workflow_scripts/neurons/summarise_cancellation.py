"""Summarise how reducing and raising neurons cancel, how few carry the effect, the net curve."""

import argparse
from pathlib import Path

from dpo_neurons.activations.cache import open_cache_pair
from dpo_neurons.errors import InputError
from dpo_neurons.files.tables import write_csv
from dpo_neurons.neurons.cancellation import strongest_neurons, tabulate_cancellation
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.neurons.resampled_curve import curve_ranks, resampled_drops, with_intervals
from dpo_neurons.running.program import log, run_program, summary_arguments

STRONGEST = 10
"""Neurons listed a layer and side."""


def main() -> None:
    """Parse, summarise, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    summary_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="csv, a row a layer")
    parser.add_argument("--curve", type=Path, required=True, help="csv, the net curve")
    parser.add_argument("--neurons", type=Path, required=True, help="csv, the strongest neurons")
    arguments = parser.parse_args()

    table = read_contributions(arguments.contributions)
    falling = table.sort_values("rank")["reduction"].to_numpy()
    ranks = curve_ranks(falling)
    with open_cache_pair(arguments.activations_pre, arguments.activations_post) as (pre, post):
        for path, cache in ((arguments.activations_pre, pre), (arguments.activations_post, post)):
            n_prompts, n_layers, d_mlp = cache["mlp_post"].shape
            if n_layers * d_mlp != len(table) or n_prompts != len(pre["mask"]):
                raise InputError(
                    f"{path}: activations of {n_prompts} prompts and {n_layers * d_mlp} neurons do "
                    f"not fit {arguments.contributions}, which has {len(table)} neurons, and "
                    f"{arguments.activations_pre}; capture them again"
                )
        drops = resampled_drops(table, pre, post, ranks, arguments.resamples, arguments.seed)
        by_layer, curve = with_intervals(
            tabulate_cancellation(table), drops, ranks, falling, arguments.level
        )
    for path, rows in (
        (arguments.output, by_layer),
        (arguments.curve, curve),
        (arguments.neurons, strongest_neurons(table, STRONGEST)),
    ):
        write_csv(path, rows)
    log.info("\n%s", by_layer.iloc[-1].to_string())


if __name__ == "__main__":
    run_program(main)
