"""Check a checkpoint and link to it; old weights are converted to safetensors."""

import argparse
import os
from pathlib import Path

from dpo_neurons.checkpoints.saving import checksums, files_and_revision
from dpo_neurons.files.output_files import whole_file
from dpo_neurons.files.provenance import read_source, write_source
from dpo_neurons.models.checkpoint_folder import (
    check_tokenizer,
    check_weight_files,
    old_weights,
    read_architecture,
)
from dpo_neurons.running.program import log, run_program


def main() -> None:
    """Parse, check, link or convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help="Hugging Face directory")
    parser.add_argument("--source", type=Path, help="source file, if it is fetched or made here")
    parser.add_argument("--same-as", help="the model and stage that it is of, such as toy/pre")
    parser.add_argument("--output", type=Path, required=True, help="the link or the directory")
    parser.add_argument("--source-output", type=Path, required=True, help="where it is from, JSON")
    arguments = parser.parse_args()

    read_architecture(arguments.path)
    check_tokenizer(arguments.path)
    check_weight_files(arguments.path)
    old = old_weights(arguments.path)
    path = arguments.path.resolve()
    if arguments.source:
        facts = read_source(arguments.source)
    else:
        facts = {"kind": "directory", "path": str(arguments.path), **files_and_revision(path)}
    if arguments.same_as:
        facts["same_as"] = arguments.same_as
    if old:
        log.info("converting %s to safetensors", ", ".join(file.name for file in old))
        from dpo_neurons.checkpoints.state_dicts import convert_old_weights

        convert_old_weights(path, arguments.output)
        facts |= {"given": facts["files"], "files": checksums(arguments.output)}
    else:
        # Results that are moved or copied keep their links to each other.
        target = os.path.relpath(arguments.path, arguments.output.parent)
        with whole_file(arguments.output) as partial:
            partial.symlink_to(target if arguments.same_as else path, target_is_directory=True)
    write_source(arguments.source_output, facts)


if __name__ == "__main__":
    run_program(main)
