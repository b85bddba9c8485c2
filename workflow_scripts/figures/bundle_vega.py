"""Bundle the scripts that draw a figure in a browser, for all pages of a study."""

import argparse
from pathlib import Path

import vl_convert

from dpo_neurons.files.output_files import write_text
from dpo_neurons.running.program import run_program


def main() -> None:
    """Parse, bundle, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="JavaScript")
    arguments = parser.parse_args()

    write_text(arguments.output, vl_convert.javascript_bundle())


if __name__ == "__main__":
    run_program(main)
