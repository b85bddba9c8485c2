"""Check a data set, rename its columns to the project's keys, and copy it."""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from dpo_neurons.files.jsonl import write_jsonl
from dpo_neurons.files.provenance import sha256_of, write_source
from dpo_neurons.running.program import log, run_program
from dpo_neurons.study.column_mapping import Selection, select_rows
from dpo_neurons.study.data_files import matching_paths
from dpo_neurons.study.datasets import TEXT_KEYS


def main() -> None:
    """Parse, check, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, choices=sorted(TEXT_KEYS))
    parser.add_argument("--paths", nargs="+", required=True, help="files; also patterns")
    parser.add_argument("--columns", nargs="+", type=_pair, default=[], help="key=column")
    parser.add_argument("--where", nargs="+", type=_pair, default=[], help="column=value")
    parser.add_argument("--skip", type=int, default=0, help="number of rows to leave out first")
    parser.add_argument("--rows", type=int, help="number of rows to take (default: all)")
    parser.add_argument("--rows-per-label", type=int, help="number of rows to take of each label")
    parser.add_argument("--prompt-words", type=int, help="number of words in a prompt")
    parser.add_argument("--shared-words", type=int, help="least number of words in a prompt")
    parser.add_argument("--labels", type=json.loads, default={}, help="{key: {value: number}}")
    parser.add_argument("--severity", type=float, help="of every word of a lexicon")
    parser.add_argument("--repository", help="hub repository of the files")
    parser.add_argument("--revision", help="commit of the repository")
    parser.add_argument("--output", type=Path, required=True, help="JSON lines")
    parser.add_argument("--source-output", type=Path, required=True, help="JSON")
    arguments = parser.parse_args()

    paths = matching_paths(arguments.paths)
    rows, left_out = select_rows(
        paths,
        Selection(
            arguments.dataset,
            dict(arguments.columns),
            dict(arguments.where),
            arguments.skip,
            arguments.rows,
            arguments.rows_per_label,
            arguments.prompt_words,
            arguments.shared_words,
            arguments.labels,
            arguments.severity,
        ),
    )
    write_jsonl(arguments.output, rows)
    fetched = {"repository": arguments.repository, "revision": arguments.revision}
    facts = {
        "kind": "hub" if arguments.repository else "file",
        "files": _checksums(paths, arguments.revision),
        "rows": len(rows),
        "rows_left_out": left_out,
        "sha256": sha256_of(arguments.output),
        **{key: value for key, value in fetched.items() if value},
    }
    write_source(arguments.source_output, facts)
    log.info("%d rows of %s, left out: %s", len(rows), arguments.dataset, left_out or "none")


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form name=value")
    return name, value


def _checksums(paths: Iterable[Path], revision: str | None) -> dict[str, str]:
    """Return each file's checksum, by its own path or that in the repository."""
    checksums = {}
    for path in paths:
        parts = (path.parent.resolve() / path.name).parts
        inside = parts[parts.index(revision) + 1 :] if revision in parts else ()
        checksums["/".join(inside) or str(path)] = sha256_of(path)
    return checksums


if __name__ == "__main__":
    run_program(main)
