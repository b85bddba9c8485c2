"""Convert a GGUF file to a checkpoint, its weights dequantised to float32."""

import argparse
from pathlib import Path

from dpo_neurons.checkpoints.saving import files_and_revision
from dpo_neurons.files.provenance import sha256_of, write_source
from dpo_neurons.running.program import log, obey_threads, run_program


def main() -> None:
    """Parse, read, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", type=Path, required=True, help=".gguf")
    parser.add_argument("--threads", type=int, required=True, help="threads of torch and BLAS")
    parser.add_argument("--output", type=Path, required=True, help="checkpoint directory")
    parser.add_argument("--source-output", type=Path, required=True, help="where it is from, JSON")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    from dpo_neurons.checkpoints.gguf_files import write_gguf_as_checkpoint

    formats = write_gguf_as_checkpoint(arguments.path, arguments.output)
    log.info("dequantised from %s to float32", formats)
    facts = {
        "kind": "gguf",
        "path": str(arguments.path),
        "given": {arguments.path.name: sha256_of(arguments.path)},
        "dequantised_from": formats,
    }
    write_source(arguments.source_output, {**facts, **files_and_revision(arguments.output)})


if __name__ == "__main__":
    run_program(main)
