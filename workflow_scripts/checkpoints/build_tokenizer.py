"""Build the word-level tokenizer of the synthetic language."""

import argparse
from pathlib import Path

from dpo_neurons.checkpoints.saving import checksums
from dpo_neurons.checkpoints.word_tokenizer import build_tokenizer
from dpo_neurons.files.output_files import whole_directory
from dpo_neurons.files.provenance import write_source
from dpo_neurons.running.program import log, run_program
from dpo_neurons.study.synthetic_language import vocabulary


def main() -> None:
    """Parse, build, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="directory")
    parser.add_argument("--source-output", type=Path, required=True, help="JSON")
    arguments = parser.parse_args()

    tokenizer = build_tokenizer(vocabulary())
    with whole_directory(arguments.output) as partial:
        tokenizer.save_pretrained(partial)
    facts = {"kind": "synthetic", "files": checksums(arguments.output)}
    write_source(arguments.source_output, facts)
    log.info("%d words", len(tokenizer))


if __name__ == "__main__":
    run_program(main)
