"""Texts per second of the local scorers, and the gain of batches."""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import (
    Figure,
    add_measuring_arguments,
    describe_machine,
    ratios,
    report,
    time_variants,
)
from workloads import make_tokenizer

if TYPE_CHECKING:
    from dpo_neurons.scorers.classifier import Classifier

LEXICON, ONE_BY_ONE = "lexicon", "classifier, one by one"
TEXT_WORDS = (4, 40)
"""Shortest and longest text in tokens, about as in continuations."""


def main() -> None:
    """Parse, make a lexicon and a classifier, time, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    shape = {"texts": 128, "batch-size": 32, "layers": 12, "width": 768, "heads": 12}
    shape |= {"vocabulary": 50265, "words": 500}
    for name, value in shape.items():
        parser.add_argument(f"--{name}", type=int, default=value, help="%(default)s")
    add_measuring_arguments(parser, rounds=5)
    arguments = parser.parse_args()

    from dpo_neurons.running.program import obey_threads

    obey_threads(arguments.threads)
    texts = make_texts(arguments.texts, arguments.vocabulary)
    severities = {f"w{number}": 0.5 for number in range(arguments.words)}
    with tempfile.TemporaryDirectory() as folder:
        classifier = make_classifier(arguments, Path(folder))
        variants = all_variants(texts, severities, classifier, arguments.batch_size)
        here = describe_machine(arguments.device)
        seconds = time_variants(variants, arguments.rounds, arguments.device)
    settings = {name: getattr(arguments, name.replace("-", "_")) for name in shape}
    report("scoring", settings, here, figures(seconds, len(texts)))


def all_variants(
    texts: list[str], severities: dict[str, float], classifier: Classifier, batch_size: int
) -> dict[str, Callable[[], object]]:
    """Return the scorers, by name."""
    from dpo_neurons.scorers.classifier import score_by_classifier
    from dpo_neurons.scorers.lexicon import score_by_lexicon

    def classify(size: int) -> object:
        return score_by_classifier(texts, classifier, "toxic", "softmax", size)

    return {
        LEXICON: lambda: score_by_lexicon(texts, severities),
        ONE_BY_ONE: lambda: classify(1),
        f"classifier, batches of {batch_size}": lambda: classify(batch_size),
    }


def figures(seconds: dict[str, list[float]], n_texts: int) -> list[Figure]:
    """Return texts per second, and the ratio without and with batches."""
    rates = [
        Figure(name, "texts/s", [n_texts / time for time in times])
        for name, times in seconds.items()
    ]
    batched = list(seconds)[-1]
    return [*rates, Figure(f"{ONE_BY_ONE} ÷ batched", "×", ratios(seconds, ONE_BY_ONE, batched))]


def make_texts(count: int, vocabulary: int) -> list[str]:
    """Make texts of random words and lengths, always the same ones."""
    chosen = random.Random(0)
    return [
        " ".join(f"w{chosen.randrange(vocabulary - 3)}" for _ in range(chosen.randint(*TEXT_WORDS)))
        for _ in range(count)
    ]


def make_classifier(arguments: argparse.Namespace, folder: Path) -> Classifier:
    """Make a RoBERTa with random weights and two labels, and load it."""
    from transformers import RobertaConfig, RobertaForSequenceClassification, set_seed

    from dpo_neurons.scorers.classifier import load_classifier

    set_seed(0)
    config = RobertaConfig(
        vocab_size=arguments.vocabulary,
        hidden_size=arguments.width,
        num_hidden_layers=arguments.layers,
        num_attention_heads=arguments.heads,
        intermediate_size=4 * arguments.width,
        max_position_embeddings=514,
        pad_token_id=0,
        id2label={0: "kind", 1: "toxic"},
        label2id={"kind": 0, "toxic": 1},
    )
    RobertaForSequenceClassification(config).save_pretrained(folder)
    make_tokenizer(arguments.vocabulary).save_pretrained(folder)
    return load_classifier(folder, arguments.device)


if __name__ == "__main__":
    main()
