"""Fetch a model or files of a data set from a hub, and link to them."""

import argparse
import logging
from pathlib import Path

from dpo_neurons.files.output_files import whole_file
from dpo_neurons.files.provenance import write_source
from dpo_neurons.running.program import log, run_program
from dpo_neurons.study.hub import fetch, matching_files, model_files
from dpo_neurons.study.hub_errors import Pin


def main() -> None:
    """Parse, fetch, link, write the origin."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", required=True, help="owner/name")
    parser.add_argument("--revision", required=True, help="a commit's 40 digits")
    parser.add_argument("--type", required=True, choices=["model", "dataset"])
    parser.add_argument("--patterns", nargs="+", help="files of a data set")
    parser.add_argument("--output", type=Path, required=True, help="link to the folder")
    parser.add_argument("--source-output", type=Path, required=True, help="JSON")
    arguments = parser.parse_args()
    if (arguments.type == "dataset") != bool(arguments.patterns):
        parser.error("data sets need --patterns, and models do not take it")

    for client in ("httpx2", "huggingface_hub"):
        # These clients log the signed addresses of large files, which anybody can fetch with.
        logging.getLogger(client).setLevel(logging.ERROR)
    pin = Pin(arguments.repository, arguments.revision, arguments.type)
    choose = matching_files(arguments.patterns) if arguments.patterns else model_files
    snapshot = fetch(pin, choose)
    with whole_file(arguments.output) as partial:
        partial.symlink_to(snapshot.folder.resolve(), target_is_directory=True)
    facts = {"repository": pin.repository, "revision": pin.revision, "files": snapshot.files}
    write_source(arguments.source_output, {"kind": "hub", **facts})
    log.info("%d files of %s", len(snapshot.files), pin.repository)


if __name__ == "__main__":
    run_program(main)
