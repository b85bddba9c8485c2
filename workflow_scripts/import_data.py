"""Check a user's data set and copy it into the results."""

import argparse
from pathlib import Path

from dpo_neurons.datasets import TEXT_KEYS, read_dataset
from dpo_neurons.jsonl import write_jsonl
from dpo_neurons.program import log, run_program


def main() -> None:
    """Parse, check, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, choices=sorted(TEXT_KEYS))
    parser.add_argument("--path", type=Path, required=True, help="JSON lines")
    parser.add_argument("--output", type=Path, required=True, help="JSON lines")
    arguments = parser.parse_args()

    rows = read_dataset(arguments.path, arguments.dataset)
    write_jsonl(arguments.output, rows)
    log.info("%d rows of %s", len(rows), arguments.dataset)


if __name__ == "__main__":
    run_program(main)
