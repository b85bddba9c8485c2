"""Compare both checkpoints' weights, matrix by matrix."""

import argparse
from pathlib import Path

from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.files.tables import write_csv
from dpo_neurons.running.program import log, obey_threads, run_program


def main() -> None:
    """Parse, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for stage in ("pre", "post"):
        parser.add_argument(f"--checkpoint-{stage}", type=Path, required=True)
    parser.add_argument("--direction", type=Path, required=True, help="only its first row counts")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="csv, one row per matrix")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    from dpo_neurons.neurons.weight_changes import tabulate_weight_changes

    direction = read_direction(arguments.direction)[0]
    changes = tabulate_weight_changes(
        arguments.checkpoint_pre, arguments.checkpoint_post, direction, arguments.direction
    )
    write_csv(arguments.output, changes)
    log.info("\n%s", changes.to_string(index=False))


if __name__ == "__main__":
    run_program(main)
