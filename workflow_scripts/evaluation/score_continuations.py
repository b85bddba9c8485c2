"""Score continuations; only guard models read their prompts too.

The perspective scorer reads its key from the variable PERSPECTIVE_API_KEY. It needs the key only
for texts whose scores are not in the store.
"""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dpo_neurons.errors import InputError
from dpo_neurons.files.jsonl import read_jsonl
from dpo_neurons.files.tables import write_table
from dpo_neurons.running.program import log, obey_threads, parse_batch_size, run_program
from dpo_neurons.scorers.endpoint import PATH

if TYPE_CHECKING:
    import pandas as pd

    from dpo_neurons.scorers.guard import Prompt


def make_encodable(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON can hold and UTF-8 cannot, by "?"."""
    return text.encode(errors="replace").decode()


def score_with_lexicon(texts: list[str], lexicon: Path) -> "pd.DataFrame":
    """Score by words with severities."""
    from dpo_neurons.scorers.lexicon import score_by_lexicon
    from dpo_neurons.scorers.severities import gather_severities
    from dpo_neurons.study.datasets import read_dataset

    rows = read_dataset(lexicon, "lexicon")
    severities = gather_severities((str(lexicon), row["word"], row["severity"]) for row in rows)
    return score_by_lexicon(texts, severities)


def score_with_phrases(
    texts: list[str], phrases: Sequence[str] | None, match: Literal["beginning", "anywhere"]
) -> "pd.DataFrame":
    """Score by whether a text has one of some phrases."""
    from dpo_neurons.scorers.phrases import REFUSALS, score_by_phrases

    return score_by_phrases(texts, phrases or REFUSALS, match)


def score_with_classifier(
    texts: list[str],
    classifier: Path,
    label: str,
    activation: str,
    batch_size: int | Literal["auto"],
    device: str,
    threads: int,
) -> "pd.DataFrame":
    """Score by a sequence classifier, on a GPU if the machine has one."""
    obey_threads(threads)
    from dpo_neurons.running.devices import lease_device
    from dpo_neurons.scorers.classifier import load_classifier, score_by_classifier

    with lease_device(device) as leased:
        loaded = load_classifier(classifier, leased)
        return score_by_classifier(texts, loaded, label, activation, batch_size)


def score_with_guard(
    texts: list[str],
    prompts: "Sequence[Prompt]",
    guard: Path,
    scored_token: str,
    other_token: str,
    template: str | None,
    template_settings: dict[str, Any] | None,
    answer_start: str,
    dtype: str,
    batch_size: int | Literal["auto"],
    device: str,
    threads: int,
) -> "pd.DataFrame":
    """Score by a language model that judges answers to prompts."""
    obey_threads(threads)
    from dpo_neurons.running.devices import lease_device
    from dpo_neurons.scorers.guard import Question, load_guard, score_by_guard

    question = Question(scored_token, other_token, template, template_settings, answer_start)
    with lease_device(device) as leased:
        loaded = load_guard(guard, dtype, leased)
        return score_by_guard(prompts, texts, loaded, question, batch_size)


def score_with_perspective(
    texts: list[str],
    endpoint: str,
    attributes: Sequence[str],
    request_path: str,
    language: str | None,
    header: str | None,
    queries_per_second: float,
    store: Path,
) -> "pd.DataFrame":
    """Score by the Perspective API or a compatible service."""
    from dpo_neurons.scorers.backoff import Patience
    from dpo_neurons.scorers.endpoint import KEY_VARIABLE
    from dpo_neurons.scorers.perspective import score_by_perspective
    from dpo_neurons.scorers.perspective_service import Service
    from dpo_neurons.scorers.score_store import open_store

    service = Service(endpoint, language, queries_per_second, request_path, header)
    key = os.environ.get(KEY_VARIABLE, "").strip()
    with open_store(store) as scores:
        return score_by_perspective(texts, attributes, service, scores, key, Patience())


@dataclass(frozen=True)
class Scorer:
    """A function from texts to scores, and its command-line options."""

    score: Callable[..., "pd.DataFrame"]
    """Returns one row per text; the first column is `toxicity`."""
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    reads_prompts: bool = False
    """Whether the function takes the texts' prompts, as `prompts`."""


SCORERS = {
    "lexicon": Scorer(score_with_lexicon, ("lexicon",)),
    "classifier": Scorer(
        score_with_classifier,
        ("classifier", "label", "activation", "batch_size", "threads"),
        ("device",),
    ),
    "guard": Scorer(
        score_with_guard,
        ("guard", "scored_token", "other_token", "dtype", "batch_size", "threads"),
        ("template", "template_settings", "answer_start", "device"),
        reads_prompts=True,
    ),
    "perspective": Scorer(
        score_with_perspective,
        ("endpoint", "attributes", "store"),
        ("request_path", "language", "header", "queries_per_second"),
    ),
    "phrases": Scorer(score_with_phrases, ("match",), ("phrases",)),
}
"""All scorers. To add one, write a module in dpo_neurons/scorers, a function here, its entry."""


def parse_arguments() -> argparse.Namespace:
    """Parse the command line; it must have all options that the scorer requires."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--continuations", type=Path, required=True, help="JSON lines")
    parser.add_argument("--scorer", required=True, choices=SCORERS)
    parser.add_argument("--output", type=Path, required=True, help="parquet")
    parser.add_argument(
        "--further", action="store_true",
        help="write the score as `score`, not as `toxicity`, and score whole texts only",
    )  # fmt: skip
    lexicon = parser.add_argument_group("lexicon")
    lexicon.add_argument("--lexicon", type=Path, help="JSON lines: word, severity")
    phrases = parser.add_argument_group("phrases")
    phrases.add_argument("--phrases", type=json.loads, help="JSON list (default: refusals)")
    phrases.add_argument("--match", choices=("beginning", "anywhere"), help="where one may stand")
    models = parser.add_argument_group("classifier and guard")
    models.add_argument("--batch-size", type=parse_batch_size, help="texts at a time, or auto")
    models.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    models.add_argument("--threads", type=int, help="threads of torch and BLAS")
    classifier = parser.add_argument_group("classifier")
    classifier.add_argument("--classifier", type=Path, help="directory of a sequence classifier")
    classifier.add_argument("--label", help="the label that is toxicity")
    classifier.add_argument("--activation", choices=("sigmoid", "softmax"))
    guard = parser.add_argument_group("guard")
    guard.add_argument("--guard", type=Path, help="directory of a causal language model")
    guard.add_argument("--scored-token", help="its probability is the score")
    guard.add_argument("--other-token", help="the token that says the opposite")
    guard.add_argument("--template", help="with {prompt} and {answer} (default: chat template)")
    guard.add_argument("--template-settings", type=json.loads, help="of the chat template, JSON")
    guard.add_argument("--answer-start", default="", help="written before the deciding token")
    guard.add_argument("--messages", type=Path, help="challenge prompts that were rendered")
    guard.add_argument("--rendered", type=Path, help="the same, as a chat template rendered them")
    guard.add_argument("--dtype", choices=("float32", "bfloat16", "float16"))
    perspective = parser.add_argument_group("perspective")
    perspective.add_argument("--endpoint", help="address of the service")
    perspective.add_argument(
        "--request-path", default=PATH, help=f"path of requests (default: {PATH})"
    )
    perspective.add_argument("--header", help="of the key, with its scheme (default: a parameter)")
    perspective.add_argument("--attributes", nargs="+", help="toxicity is the largest of them")
    perspective.add_argument(
        "--language", help="language of all texts (default: the service detects it)"
    )
    perspective.add_argument("--queries-per-second", type=float, default=1.0)
    perspective.add_argument("--store", type=Path, help="SQLite file that keeps every score")
    arguments = parser.parse_args()
    required = SCORERS[arguments.scorer].required
    missing = [name for name in required if not vars(arguments)[name]]
    if missing:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        parser.error(f"--scorer {arguments.scorer} needs {options}")
    return arguments


def prompts_as_asked(
    rows: list[dict[str, Any]], messages: Path | None, rendered: Path | None
) -> "list[Prompt]":
    """Return the prompts of continuations: their messages if a chat template rendered them.

    Raises InputError for a prompt that is none of the rendered ones.
    """
    if messages is None or rendered is None:
        return [make_encodable(row["prompt"]) for row in rows]
    from dpo_neurons.evaluation.asked_messages import read_asked_messages

    asked = read_asked_messages(messages, rendered)
    for row in rows:
        if row["prompt"] not in asked:
            raise InputError(
                f"{rendered}: lacks the prompt {row['prompt'][:60]!r} of the continuations; delete "
                "the continuations and run again"
            )
    return [asked[row["prompt"]] for row in rows]


def main() -> None:
    """Parse, score, write."""
    arguments = parse_arguments()
    rows = read_jsonl(arguments.continuations, ("intervention", "prompt", "continuation"))
    texts = [make_encodable(row["continuation"]) for row in rows]
    # Beginnings as long as dpo's answers; most are the whole text.
    has_cuts = not arguments.further and all("cut" in row for row in rows)
    cuts = [make_encodable(row["cut"]) for row in rows] if has_cuts else texts
    shorter = [number for number, cut in enumerate(cuts) if cut != texts[number]]
    scorer = SCORERS[arguments.scorer]
    options = {name: vars(arguments)[name] for name in scorer.required + scorer.optional}
    if scorer.reads_prompts:
        prompts = prompts_as_asked(rows, arguments.messages, arguments.rendered)
        options["prompts"] = [*prompts, *(prompts[number] for number in shorter)]
    scored = scorer.score([*texts, *(cuts[number] for number in shorter)], **options)
    scores = scored.head(len(texts)).copy()
    mean = scores["toxicity"].mean()
    scores.insert(0, "intervention", [row["intervention"] for row in rows])
    if has_cuts:
        equal = scores["toxicity"].to_numpy().copy()
        equal[shorter] = scored["toxicity"].to_numpy()[len(texts) :]
        scores["toxicity_equal_length"] = equal
    if arguments.further:
        # A label of a classifier may be called so too.
        scores = scores.rename(columns={"score": "score_label", "toxicity": "score"})
    write_table(arguments.output, scores)
    what = "score" if arguments.further else "toxicity"
    log.info("mean %s %.4f over %d continuations", what, mean, len(scores))


if __name__ == "__main__":
    run_program(main)
