"""Compute a direction as a difference of words' mean token vectors."""

import argparse
import json
from pathlib import Path

from dpo_neurons.directions.direction_files import scale_to_unit_rows, write_direction
from dpo_neurons.running.program import log, obey_threads, run_program


def main() -> None:
    """Parse, compute, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    pointed_to = parser.add_mutually_exclusive_group(required=True)
    pointed_to.add_argument("--words", nargs="+", help="words to point to")
    pointed_to.add_argument("--words-file", type=Path, help="file of them, one a line")
    parser.add_argument(
        "--neutral-words", nargs="+", required=True, help="words to point away from"
    )
    parser.add_argument("--threads", type=int, required=True, help="threads of torch and BLAS")
    parser.add_argument("--output", type=Path, required=True, help="safetensors")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    from dpo_neurons.directions.embedding import average_words, read_words, tokenize_words
    from dpo_neurons.directions.token_texts import TokenTexts
    from dpo_neurons.models.loading import load_tokenizer
    from dpo_neurons.models.unembedding import Unembedding

    checkpoint = arguments.checkpoint
    unembedding = Unembedding(checkpoint)
    tokenizer = load_tokenizer(checkpoint)
    given = arguments.words or read_words(arguments.words_file)
    words = tokenize_words(tokenizer, given, checkpoint, "words")
    neutral = tokenize_words(tokenizer, arguments.neutral_words, checkpoint, "neutral_words")
    difference = average_words(unembedding, words) - average_words(unembedding, neutral)
    scale_to_unit_rows(difference, "directions.…: words minus neutral_words")  # refuses zero

    texts = TokenTexts(tokenizer)
    tokens = {
        word: [texts.quote(token_id) for token_id in ids]
        for word, ids in {**words, **neutral}.items()
    }
    for word, tokens_of_word in tokens.items():
        log.info("%r is %s", word, " ".join(tokens_of_word))
    how = {
        "kind": "embedding",
        "words": json.dumps(given, ensure_ascii=False),
        "neutral_words": json.dumps(arguments.neutral_words, ensure_ascii=False),
        "tokens": json.dumps(tokens, ensure_ascii=False),
    }
    write_direction(arguments.output, difference, how)


if __name__ == "__main__":
    run_program(main)
