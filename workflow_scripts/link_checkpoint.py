"""Check a user's checkpoint directory and link to it from the results."""

import argparse
from pathlib import Path

from dpo_neurons.checkpoint_config import read_config
from dpo_neurons.families import family_of
from dpo_neurons.output_files import whole_file
from dpo_neurons.program import run_program


def link_checkpoint(path: Path, output: Path) -> None:
    """Make `output` a link to the checkpoint directory `path`.

    Raises InputError if `path` is no checkpoint or its model's family is not known.
    """
    family_of(read_config(path).get("model_type", "missing"), path)
    with whole_file(output) as partial:
        partial.symlink_to(path.resolve(), target_is_directory=True)


def main() -> None:
    """Parse, check, link."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help="Hugging Face directory")
    parser.add_argument("--output", type=Path, required=True, help="the link")
    arguments = parser.parse_args()

    link_checkpoint(arguments.path, arguments.output)


if __name__ == "__main__":
    run_program(main)
