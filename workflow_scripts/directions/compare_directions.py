"""Compare all directions of a model: cosines, and on how many neurons their signs agree."""

import argparse
from pathlib import Path

from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.directions.direction_table import (
    count_signs,
    direction_table,
    format_directions,
)
from dpo_neurons.files.output_files import write_text
from dpo_neurons.files.table_page import to_markdown
from dpo_neurons.files.tables import write_csv
from dpo_neurons.models.value_vectors import check_width, iterate_written_vectors
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read directions and value vectors, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="the first checkpoint")
    parser.add_argument(
        "--directions", type=Path, nargs="+", required=True, help="safetensors, named after them"
    )
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    arguments = parser.parse_args()

    directions = {path.stem: read_direction(path) for path in arguments.directions}
    values, _ = next(iterate_written_vectors(arguments.checkpoint))
    for path in arguments.directions:
        check_width(directions[path.stem], values.shape[1], path, arguments.checkpoint)
    layers = (values for values, _ in iterate_written_vectors(arguments.checkpoint))
    table = direction_table(directions, count_signs(directions, layers))
    write_csv(arguments.csv, table)
    write_text(arguments.markdown, to_markdown(format_directions(table)))


if __name__ == "__main__":
    run_program(main)
