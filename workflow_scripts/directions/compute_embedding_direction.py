"""Compute a direction from words: the mean of their token vectors minus that of neutral words."""

import argparse
import json
from pathlib import Path

from dpo_neurons.directions.direction_files import scale_to_unit_rows, write_direction
from dpo_neurons.running.program import log, obey_threads, run_program


def main() -> None:
    """Parse, compute, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--words", nargs="+", required=True, help="what the direction points to")
    parser.add_argument("--neutral-words", nargs="+", required=True, help="and away from")
    parser.add_argument("--threads", type=int, required=True, help="threads of torch and BLAS")
    parser.add_argument("--output", type=Path, required=True, help="safetensors")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    from dpo_neurons.directions.embedding import ids_of_words, mean_of_words
    from dpo_neurons.directions.token_texts import TokenTexts
    from dpo_neurons.models.loading import load_tokenizer
    from dpo_neurons.models.unembedding import Unembedding

    checkpoint = arguments.checkpoint
    unembedding = Unembedding(checkpoint)
    tokenizer = load_tokenizer(checkpoint)
    words = ids_of_words(tokenizer, arguments.words, checkpoint, "words")
    neutral = ids_of_words(tokenizer, arguments.neutral_words, checkpoint, "neutral_words")
    difference = mean_of_words(unembedding, words) - mean_of_words(unembedding, neutral)
    direction = scale_to_unit_rows(difference, "directions.…: words minus neutral_words")

    texts = TokenTexts(tokenizer)
    tokens = {
        word: [texts.quoted(number) for number in ids] for word, ids in {**words, **neutral}.items()
    }
    for word, its in tokens.items():
        log.info("%r is %s", word, " ".join(its))
    how = {
        "kind": "embedding",
        "words": json.dumps(arguments.words, ensure_ascii=False),
        "neutral_words": json.dumps(arguments.neutral_words, ensure_ascii=False),
        "tokens": json.dumps(tokens, ensure_ascii=False),
    }
    write_direction(arguments.output, direction, how)


if __name__ == "__main__":
    run_program(main)
