"""Score continuations: the continuation alone, not its prompt."""

import argparse
from pathlib import Path

from dpo_neurons.datasets import read_dataset
from dpo_neurons.jsonl import read_jsonl
from dpo_neurons.output_files import whole_file
from dpo_neurons.program import log, run_program
from dpo_neurons.scorers.lexicon import score_by_lexicon


def main() -> None:
    """Parse, score, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--continuations", type=Path, required=True, help="JSON lines")
    parser.add_argument("--scorer", required=True, choices=("lexicon",))
    parser.add_argument("--lexicon", type=Path, help="word, severity; for the lexicon scorer")
    parser.add_argument("--output", type=Path, required=True, help="parquet")
    arguments = parser.parse_args()

    rows = read_jsonl(arguments.continuations, ("prompt", "continuation"))
    words = read_dataset(arguments.lexicon, "lexicon")
    severities = {row["word"]: row["severity"] for row in words}
    scores = score_by_lexicon([row["continuation"] for row in rows], severities)
    with whole_file(arguments.output) as partial:
        scores.to_parquet(partial, index=False)
    log.info("mean toxicity %.4f over %d continuations", scores["toxicity"].mean(), len(scores))


if __name__ == "__main__":
    run_program(main)
