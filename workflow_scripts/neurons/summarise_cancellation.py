"""Summarise cancellation and concentration of reductions; the net curve."""

import argparse
from pathlib import Path

from dpo_neurons.files.tables import write_csv
from dpo_neurons.neurons.cancellation import strongest_neurons
from dpo_neurons.neurons.prompt_projections import open_contributions
from dpo_neurons.neurons.resampled_curve import summarise_cancellation
from dpo_neurons.running.program import add_summary_arguments, log, run_program

STRONGEST = 10
"""Number of neurons listed for each layer and side."""


def main() -> None:
    """Parse, summarise, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_summary_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="csv, one row per layer")
    parser.add_argument("--curve", type=Path, required=True, help="csv, the net curve")
    parser.add_argument("--neurons", type=Path, required=True, help="csv, the strongest neurons")
    arguments = parser.parse_args()

    files = arguments.contributions, arguments.activations_pre, arguments.activations_post
    bootstrap = arguments.resamples, arguments.level, arguments.seed
    with open_contributions(*files) as (table, pre, post):
        by_layer, curve = summarise_cancellation(table, pre, post, *bootstrap)
    write_csv(arguments.output, by_layer)
    write_csv(arguments.curve, curve)
    write_csv(arguments.neurons, strongest_neurons(table, STRONGEST))
    log.info("\n%s", by_layer.iloc[-1].to_string())


if __name__ == "__main__":
    run_program(main)
