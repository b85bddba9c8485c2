"""Draw figure 11: toxicity and perplexity over α and β of activation editing."""

import argparse
from pathlib import Path

from dpo_neurons.figures.drawn_interventions import REFERENCES
from dpo_neurons.figures.edit_grid import COLUMNS, aggregate, chart
from dpo_neurons.figures.style import add_figure_arguments, write_figure
from dpo_neurons.files.tables import read_csv
from dpo_neurons.running.program import run_program


def main() -> None:
    """Read the table, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, required=True, help="table csv")
    add_figure_arguments(parser)
    arguments = parser.parse_args()

    table = read_csv(arguments.table, COLUMNS)
    references = table[table["kind"].isin(REFERENCES)]
    write_figure(
        chart(aggregate(table), references, arguments.model), arguments.output_stem, arguments.vega
    )


if __name__ == "__main__":
    run_program(main)
