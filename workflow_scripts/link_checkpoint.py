"""Check a checkpoint directory and link to it; old weight files are converted to safetensors."""

import argparse
from pathlib import Path

from dpo_neurons.checkpoint_config import family_of_checkpoint
from dpo_neurons.checkpoint_files import files_and_revision, save_checkpoint
from dpo_neurons.output_files import whole_file
from dpo_neurons.program import log, run_program
from dpo_neurons.provenance import read_source, write_source


def has_old_weights(path: Path) -> bool:
    """Whether the checkpoint's weights are in PyTorch's own files only."""
    return any(path.glob("pytorch_model*.bin")) and not any(path.glob("*.safetensors"))


def main() -> None:
    """Parse, check, link or convert."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help="Hugging Face directory")
    parser.add_argument("--fetched", type=Path, help="source file of a directory from the hub")
    parser.add_argument("--output", type=Path, required=True, help="the link or the directory")
    parser.add_argument("--source-output", type=Path, required=True, help="where it is from, JSON")
    arguments = parser.parse_args()

    path = arguments.path.resolve()
    family_of_checkpoint(path)
    if has_old_weights(path):
        from dpo_neurons.checkpoints import load_trainable_model

        log.info("converting the weights of %s to safetensors", arguments.path)
        model = load_trainable_model(path, "auto")
        save_checkpoint(model, path, arguments.output, arguments.source_output, kind="converted")
        return
    if arguments.fetched:
        facts = read_source(arguments.fetched)
    else:
        facts = {"kind": "directory", "path": str(arguments.path), **files_and_revision(path)}
    with whole_file(arguments.output) as partial:
        partial.symlink_to(path, target_is_directory=True)
    write_source(arguments.source_output, facts)


if __name__ == "__main__":
    run_program(main)
