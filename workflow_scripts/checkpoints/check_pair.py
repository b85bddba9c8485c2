"""Look at a model's two checkpoints before anything is computed from both."""

import argparse
from pathlib import Path

from dpo_neurons.running.program import log, obey_threads, run_program


def main() -> None:
    """Parse, look, say what differs, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint-pre", type=Path, required=True)
    parser.add_argument("--checkpoint-post", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True, help="threads of torch and BLAS")
    parser.add_argument("--output", type=Path, required=True, help="JSON")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    from dpo_neurons.checkpoints.pair import examine_pair, write_pair

    pair = examine_pair(arguments.checkpoint_pre, arguments.checkpoint_post)
    for note in pair.notes:
        log.warning("%s", note)
    write_pair(arguments.output, pair)


if __name__ == "__main__":
    run_program(main)
