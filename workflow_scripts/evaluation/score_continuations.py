"""Score continuations: the continuation alone, not its prompt.

PERSPECTIVE_API_KEY holds the key of the perspective scorer; it is needed only for texts whose
scores are not in the store.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_neurons.files.jsonl import read_jsonl
from dpo_neurons.files.tables import write_table
from dpo_neurons.running.program import log, obey_threads, parse_batch_size, run_program

if TYPE_CHECKING:
    import pandas as pd

NEEDED = {
    "lexicon": ("lexicon",),
    "classifier": ("classifier", "label", "activation", "batch_size", "threads"),
    "perspective": ("endpoint", "attributes", "store"),
}
"""The options that each scorer cannot do without."""


def encodable(text: str) -> str:
    """The text with ? for half a surrogate pair, which JSON can hold and UTF-8 cannot."""
    return text.encode(errors="replace").decode()


def lexicon_scores(texts: list[str], arguments: argparse.Namespace) -> "pd.DataFrame":
    """Score by words with severities."""
    from dpo_neurons.scorers.lexicon import score_by_lexicon
    from dpo_neurons.study.datasets import read_dataset

    words = read_dataset(arguments.lexicon, "lexicon")
    return score_by_lexicon(texts, {row["word"]: row["severity"] for row in words})


def classifier_scores(texts: list[str], arguments: argparse.Namespace) -> "pd.DataFrame":
    """Score by a sequence classifier, on a GPU where there is one."""
    obey_threads(arguments.threads)
    from dpo_neurons.running.devices import lease_device
    from dpo_neurons.scorers.classifier import load_classifier, score_by_classifier

    with lease_device(arguments.device) as device:
        return score_by_classifier(
            texts,
            load_classifier(arguments.classifier, device),
            arguments.label,
            arguments.activation,
            arguments.batch_size,
        )


def perspective_scores(texts: list[str], arguments: argparse.Namespace) -> "pd.DataFrame":
    """Score by the Perspective API or a compatible service."""
    from dpo_neurons.scorers.backoff import Patience
    from dpo_neurons.scorers.perspective import score_by_perspective
    from dpo_neurons.scorers.perspective_reply import KEY_VARIABLE
    from dpo_neurons.scorers.perspective_service import Service
    from dpo_neurons.scorers.score_store import open_store

    service = Service(arguments.endpoint, arguments.language, arguments.queries_per_second)
    key = os.environ.get(KEY_VARIABLE, "").strip()
    with open_store(arguments.store) as store:
        return score_by_perspective(texts, arguments.attributes, service, store, key, Patience())


SCORERS = {
    "lexicon": lexicon_scores,
    "classifier": classifier_scores,
    "perspective": perspective_scores,
}
"""From texts to a table of numbers, a row a text, `toxicity` first.

To add a scorer, write a module in dpo_neurons/scorers, a function here and its entry.
"""


def parsed() -> argparse.Namespace:
    """The command line, complete for the scorer it names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--continuations", type=Path, required=True, help="JSON lines")
    parser.add_argument("--scorer", required=True, choices=SCORERS)
    parser.add_argument("--output", type=Path, required=True, help="parquet")
    lexicon = parser.add_argument_group("lexicon")
    lexicon.add_argument("--lexicon", type=Path, help="JSON lines: word, severity")
    classifier = parser.add_argument_group("classifier")
    classifier.add_argument("--classifier", type=Path, help="directory of a sequence classifier")
    classifier.add_argument("--label", help="the label that is toxicity")
    classifier.add_argument("--activation", choices=("sigmoid", "softmax"))
    classifier.add_argument("--batch-size", type=parse_batch_size, help="texts at a time, or auto")
    classifier.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    classifier.add_argument("--threads", type=int, help="threads of torch and BLAS")
    perspective = parser.add_argument_group("perspective")
    perspective.add_argument("--endpoint", help="address of the service")
    perspective.add_argument("--attributes", nargs="+", help="toxicity is the largest of them")
    perspective.add_argument(
        "--language", help="named in every request (default: the service detects it)"
    )
    perspective.add_argument("--queries-per-second", type=float, default=1.0)
    perspective.add_argument("--store", type=Path, help="SQLite file that keeps every score")
    arguments = parser.parse_args()
    missing = [name for name in NEEDED[arguments.scorer] if not vars(arguments)[name]]
    if missing:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        parser.error(f"--scorer {arguments.scorer} needs {options}")
    return arguments


def main() -> None:
    """Parse, score, write."""
    arguments = parsed()
    rows = read_jsonl(arguments.continuations, ("prompt", "continuation"))
    texts = [encodable(row["continuation"]) for row in rows]
    scores = SCORERS[arguments.scorer](texts, arguments)
    write_table(arguments.output, scores)
    log.info("mean toxicity %.4f over %d continuations", scores["toxicity"].mean(), len(scores))


if __name__ == "__main__":
    run_program(main)
