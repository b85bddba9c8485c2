"""Write a model's page: findings, tables to sort and search, texts side by side."""

import argparse
from pathlib import Path

import pandas as pd

from dpo_neurons.evaluation import comparison_table, random_set_table, verdicts
from dpo_neurons.evaluation.findings import FindingTables, write_findings
from dpo_neurons.evaluation.intervention_table import COLUMNS
from dpo_neurons.evaluation.model_page import (
    choose_neurons,
    interventions_for_reading,
    render_page,
    texts_for_reading,
)
from dpo_neurons.evaluation.outcomes import gather_scores
from dpo_neurons.files.output_files import write_text
from dpo_neurons.files.tables import read_csv, read_table
from dpo_neurons.interventions.continuation_files import read_continuations
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.running.program import log, run_program


def main() -> None:
    """Parse, read, render, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    for name in ("table", "tests", "random-sets", "verdicts", "stream", "groups",
                 "random-directions", "decompositions", "sources"):  # fmt: skip
        parser.add_argument(f"--{name}", type=Path, required=True, help="csv")
    for name in ("contributions", "decomposed-neurons"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="parquet")
    parser.add_argument("--continuations", type=Path, nargs="+", required=True, help="JSON lines")
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="of them, parquet")
    parser.add_argument("--template", type=Path, required=True, help="of the page, html")
    parser.add_argument("--output", type=Path, required=True, help="html")
    arguments = parser.parse_args()

    table = read_csv(arguments.table, COLUMNS)
    judged = read_csv(arguments.verdicts, verdicts.COLUMNS)
    random_sets = read_csv(arguments.random_sets, random_set_table.COLUMNS, may_be_empty=True)
    findings = write_findings(
        FindingTables(
            table,
            read_csv(arguments.tests, comparison_table.COLUMNS),
            read_csv(arguments.stream),
            read_csv(arguments.groups),
            read_csv(arguments.random_directions),
            read_csv(arguments.decompositions, texts=("by", "part")),
            judged,
        )
    )
    written = pd.concat(map(read_continuations, arguments.continuations), ignore_index=True)
    texts = {
        str(name): lines["continuation"].tolist()
        for name, lines in written.groupby("intervention", sort=False)
    }
    scores = {
        name: scored.lines["toxicity"].tolist()
        for name, scored in gather_scores(arguments.scores).items()
    }
    first = written["intervention"].iloc[0]
    prompts = written.loc[written["intervention"] == first, "prompt"].tolist()
    split = read_table(arguments.decomposed_neurons, ("layer", "neuron"), "decompositions need")
    page = render_page(
        arguments.template,
        arguments.model,
        findings,
        interventions_for_reading(table, judged, random_sets),
        choose_neurons(read_contributions(arguments.contributions), split),
        read_csv(arguments.sources),
        texts_for_reading(texts, scores, prompts),
    )
    write_text(arguments.output, page)
    for finding in findings:
        log.info("%s %s", finding.question, " ".join(finding.sentences))


if __name__ == "__main__":
    run_program(main)
