"""Tabulate the tokens that a direction and value vectors along it promote."""

import argparse
from pathlib import Path

from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.files.output_files import write_text
from dpo_neurons.files.tables import write_csv
from dpo_neurons.running.program import obey_threads, run_program


def main() -> None:
    """Parse, tabulate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--direction", type=Path, required=True, help="safetensors")
    parser.add_argument(
        "--value-vectors", type=int, required=True, help="how many on each side of each row"
    )
    parser.add_argument("--tokens", type=int, required=True, help="how many of each vector")
    parser.add_argument("--norm", required=True, choices=("final", "none"), help="before tokens")
    parser.add_argument("--title", required=True, help="of the page")
    parser.add_argument("--threads", type=int, required=True, help="threads of torch and BLAS")
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    parser.add_argument("--page", type=Path, required=True, help="html")
    arguments = parser.parse_args()

    obey_threads(arguments.threads)
    from dpo_neurons.directions.logit_lens import (
        collect_vectors,
        format_markdown,
        format_page,
        tabulate_tokens,
    )
    from dpo_neurons.directions.token_texts import TokenTexts
    from dpo_neurons.models.loading import load_tokenizer
    from dpo_neurons.models.unembedding import Unembedding

    unembedding = Unembedding(arguments.checkpoint)
    texts = TokenTexts(load_tokenizer(arguments.checkpoint))
    names, vectors = collect_vectors(
        arguments.checkpoint,
        read_direction(arguments.direction),
        arguments.value_vectors,
        arguments.direction,
    )
    table = tabulate_tokens(names, vectors, unembedding, texts, arguments.tokens, arguments.norm)
    write_csv(arguments.csv, table)
    write_text(arguments.markdown, format_markdown(table))
    write_text(arguments.page, format_page(table, arguments.title))


if __name__ == "__main__":
    run_program(main)
