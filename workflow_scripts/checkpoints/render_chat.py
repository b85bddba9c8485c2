"""Render a data set's texts through a checkpoint's chat template, as a model reads them."""

import argparse
import hashlib
from pathlib import Path

from dpo_neurons.files.jsonl import write_jsonl
from dpo_neurons.files.provenance import sha256_of, write_source
from dpo_neurons.running.program import log, obey_threads, run_program
from dpo_neurons.study.datasets import read_conversations
from dpo_neurons.study.messages import CHAT_KEYS
from dpo_neurons.study.study import STAGES


def main() -> None:
    """Parse, render, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, choices=sorted(CHAT_KEYS))
    parser.add_argument("--rows", type=Path, required=True, help="JSON lines")
    parser.add_argument("--checkpoint", type=Path, required=True, help="whose template renders")
    parser.add_argument("--template", required=True, choices=STAGES, help="stage of --checkpoint")
    parser.add_argument("--system", help="system message (default: the template's own, if any)")
    parser.add_argument("--threads", type=int, required=True, help="threads of torch and BLAS")
    parser.add_argument("--output", type=Path, required=True, help="JSON lines")
    parser.add_argument("--source-output", type=Path, required=True, help="JSON")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    from dpo_neurons.checkpoints.chat import load_chat, render_rows

    chat = load_chat(arguments.checkpoint, arguments.system)
    dataset = arguments.dataset
    rows = render_rows(chat, dataset, read_conversations(arguments.rows, dataset))
    write_jsonl(arguments.output, rows)
    first = rows[0][CHAT_KEYS[dataset][0]]
    template_sha256 = hashlib.sha256(chat.template.encode()).hexdigest()
    facts = {
        "kind": "chat",
        "path": f"{dataset}, rendered by the chat template of {arguments.template}",
        "rows": len(rows),
        "sha256": sha256_of(arguments.output),
        "given": {"chat template": template_sha256},
        "chat_template": chat.template,
        "first_text": first,
        **({} if arguments.system is None else {"system": arguments.system}),
    }
    write_source(arguments.source_output, facts)
    log.info("%d rows of %s, the first as %r", len(rows), dataset, first)


if __name__ == "__main__":
    run_program(main)
