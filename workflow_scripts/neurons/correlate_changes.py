"""Correlate neurons' changes of activation with their cosine and their activation before."""

import argparse
from pathlib import Path

from dpo_neurons.files.tables import write_csv
from dpo_neurons.neurons.change_correlations import correlate_changes
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.running.program import log, run_program


def main() -> None:
    """Parse, correlate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contributions", type=Path, required=True, help="contributions parquet")
    parser.add_argument(
        "--output", type=Path, required=True, help="csv, a row a layer and quantity"
    )
    arguments = parser.parse_args()

    correlations = correlate_changes(read_contributions(arguments.contributions))
    write_csv(arguments.output, correlations)
    log.info("\n%s", correlations.to_string(index=False))


if __name__ == "__main__":
    run_program(main)
