"""Write one data set of the embedded study in the synthetic language."""

import argparse
from pathlib import Path

from dpo_neurons.files.jsonl import write_jsonl
from dpo_neurons.files.provenance import sha256_of, write_source
from dpo_neurons.running.program import log, run_program
from dpo_neurons.study.datasets import TEXT_KEYS, synthetic_rows


def main() -> None:
    """Parse, make, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, choices=sorted(TEXT_KEYS))
    parser.add_argument("--rows", type=int, default=0, help="ignored for the lexicon")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="JSON lines")
    parser.add_argument("--source-output", type=Path, required=True, help="JSON")
    arguments = parser.parse_args()

    rows = synthetic_rows(arguments.dataset, arguments.rows, arguments.seed)
    write_jsonl(arguments.output, rows)
    facts = {
        "kind": "synthetic",
        "seed": arguments.seed,
        "rows": len(rows),
        "sha256": sha256_of(arguments.output),
    }
    write_source(arguments.source_output, facts)
    log.info("%d rows of %s", len(rows), arguments.dataset)


if __name__ == "__main__":
    run_program(main)
