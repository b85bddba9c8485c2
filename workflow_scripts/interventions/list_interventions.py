"""List a study's interventions: one row each, with all settings as columns."""

import argparse
import json
from pathlib import Path

import pandas as pd

from dpo_neurons.files.tables import write_csv
from dpo_neurons.running.program import log, run_program
from dpo_neurons.study.intervention_rows import METADATA, describe_rows


def main() -> None:
    """Parse, expand the entries, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--entries", type=json.loads, required=True, help="the configuration's section, as JSON"
    )
    parser.add_argument("--direction", required=True, help="direction of rows that name none")
    parser.add_argument("--output", type=Path, required=True, help="csv")
    arguments = parser.parse_args()

    rows = describe_rows(arguments.entries, arguments.direction)
    write_csv(arguments.output, pd.DataFrame(rows, columns=list(METADATA)))
    log.info("%d interventions", len(rows))


if __name__ == "__main__":
    run_program(main)
