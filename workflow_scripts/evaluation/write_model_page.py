"""Write a model's page: findings, tables to sort and search, texts side by side."""

import argparse
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from dpo_neurons.evaluation import comparison_table, layer_map, random_set_table, verdicts
from dpo_neurons.evaluation.findings import FindingTables, write_findings
from dpo_neurons.evaluation.intervention_table import COLUMNS
from dpo_neurons.evaluation.model_page import (
    interventions_for_reading,
    neurons_for_reading,
    render_page,
    texts_for_reading,
)
from dpo_neurons.evaluation.neuron_panel import panels_as_json
from dpo_neurons.evaluation.outcomes import gather_scores
from dpo_neurons.files.output_files import write_text
from dpo_neurons.files.tables import read_csv, read_table
from dpo_neurons.interventions.continuation_files import read_continuations
from dpo_neurons.neurons.contributions import read_contributions
from dpo_neurons.neurons.largest_neurons import COLUMNS as COLUMNS_OF_LARGEST
from dpo_neurons.running.program import log, run_program
from dpo_neurons.scorers.severities import normalise_text
from dpo_neurons.study.datasets import read_dataset


def main() -> None:
    """Parse, read, render, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    for name in ("table", "tests", "random-sets", "verdicts", "stream", "groups",
                 "layer-groups", "random-directions", "decompositions", "sources"):  # fmt: skip
        parser.add_argument(f"--{name}", type=Path, required=True, help="csv")
    for name in ("contributions", "decomposed-neurons", "largest-neurons"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="parquet")
    parser.add_argument("--continuations", type=Path, nargs="+", required=True, help="JSON lines")
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="of them, parquet")
    parser.add_argument("--prompts", type=Path, required=True, help="of the captures, JSON lines")
    parser.add_argument("--lexicon", type=Path, help="JSON lines, if it is the scorer")
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
    words: Collection[str] = ()
    if arguments.lexicon:
        words = [normalise_text(row["word"]) for row in read_dataset(arguments.lexicon, "lexicon")]
    split = read_table(arguments.decomposed_neurons, ("layer", "neuron"), "decompositions need")
    largest = read_table(arguments.largest_neurons, COLUMNS_OF_LARGEST, "panels need")
    captured = read_dataset(arguments.prompts, "challenge_prompts")
    page = render_page(
        arguments.template,
        arguments.model,
        findings,
        interventions_for_reading(table, judged, random_sets),
        read_csv(arguments.layer_groups, layer_map.COLUMNS),
        neurons_for_reading(read_contributions(arguments.contributions), split, largest),
        read_csv(arguments.sources),
        texts_for_reading(texts, scores, prompts, words),
        panels_as_json(largest, [row["prompt"] for row in captured]),
    )
    write_text(arguments.output, page)
    for finding in findings:
        log.info("%s %s", finding.question, " ".join(finding.sentences))


if __name__ == "__main__":
    run_program(main)
