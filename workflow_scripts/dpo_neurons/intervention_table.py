"""The table of interventions: every metric of every row, with bootstrap intervals."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dpo_neurons.bootstrap import mean_interval
from dpo_neurons.datasets import read_dataset
from dpo_neurons.errors import InputError
from dpo_neurons.jsonl import read_jsonl
from dpo_neurons.plans import read_plan
from dpo_neurons.table_page import table_page
from dpo_neurons.text_metrics import repetition, unigram_f1

COLUMNS = (
    "intervention", "checkpoint", "neurons", "toxicity", "toxicity_low", "toxicity_high",
    "perplexity", "f1", "repetition", "perplexity_low", "perplexity_high", "f1_low", "f1_high",
    "repetition_low", "repetition_high",
)  # fmt: skip


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made; the same prompts are drawn for every row of the table."""

    resamples: int
    level: float
    seed: int

    def __call__(
        self, values: np.ndarray, weights: np.ndarray | None = None
    ) -> tuple[float, float, float]:
        """Mean, low and high of values, (n,)."""
        return mean_interval(values, self.resamples, self.level, self.seed, weights)


@dataclass(frozen=True)
class Measured:
    """What was measured of one intervention."""

    neurons: int
    toxicity: np.ndarray
    """(n_prompts,)"""
    repetitions: np.ndarray
    """(n_prompts,) share of repeated 2-grams of the challenge continuations."""
    f1: np.ndarray
    """(n_references,)"""
    window_losses: np.ndarray
    """(n_windows,) summed negative log-likelihoods, in nats."""
    window_tokens: np.ndarray
    """(n_windows,)"""


def read_measured(results: Path, model: str, intervention: str, references: Path) -> Measured:
    """Gather one intervention's files from a study's results.

    Raises InputError if the continuations are not those of the references.
    """
    continuations = results / "generations" / model / intervention
    challenge = read_jsonl(continuations / "challenge_prompts.jsonl", ("continuation",))
    written = read_jsonl(continuations / "reference_sentences.jsonl", ("prompt", "continuation"))
    gold = read_dataset(references, "reference_sentences")
    if [row["prompt"] for row in written] != [row["prompt"] for row in gold]:
        raise InputError(
            f"{continuations}/reference_sentences.jsonl: its prompts are not those of "
            f"{references}; delete it and run again"
        )
    perplexity = json.loads((results / "perplexity" / model / f"{intervention}.json").read_text())
    scores = pd.read_parquet(results / "scores" / model / f"{intervention}.parquet")
    plan = read_plan(results / "plans" / model / f"{intervention}.parquet")
    return Measured(
        neurons=len(plan[["layer", "neuron"]].drop_duplicates()),
        toxicity=scores["toxicity"].to_numpy(),
        repetitions=np.array([repetition(row["continuation"]) for row in challenge]),
        f1=np.array(
            [
                unigram_f1(one["continuation"], two["gold"])
                for one, two in zip(written, gold, strict=True)
            ]
        ),
        window_losses=np.array(perplexity["window_losses"]),
        window_tokens=np.array(perplexity["window_tokens"]),
    )


def table_row(
    intervention: str, checkpoint: str, measured: Measured, bootstrap: Bootstrap
) -> dict[str, object]:
    """One row of the table; perplexity and its bounds are exponentials of mean losses a token."""
    row: dict[str, object] = {
        "intervention": intervention,
        "checkpoint": checkpoint,
        "neurons": measured.neurons,
    }
    metrics = {
        "toxicity": measured.toxicity,
        "repetition": measured.repetitions,
        "f1": measured.f1,
    }
    for name, values in metrics.items():
        row[name], row[f"{name}_low"], row[f"{name}_high"] = bootstrap(values)
    losses = bootstrap(measured.window_losses / measured.window_tokens, measured.window_tokens)
    for suffix, loss in zip(("", "_low", "_high"), losses, strict=True):
        row[f"perplexity{suffix}"] = float(np.exp(loss))
    return {column: row[column] for column in COLUMNS}


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The table for reading: rounded, intervals in brackets behind their means."""
    shown = table[["intervention", "checkpoint", "neurons"]].copy()
    for metric, digits in (("toxicity", 3), ("perplexity", 2), ("f1", 3), ("repetition", 3)):
        shown[metric] = [
            f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
            for mean, low, high in zip(
                table[metric], table[f"{metric}_low"], table[f"{metric}_high"], strict=True
            )
        ]
    return shown


def to_markdown(table: pd.DataFrame) -> str:
    """The readable table in Markdown."""
    shown = readable(table)
    rows = [shown.columns, ["---"] * shown.shape[1], *shown.astype(str).to_numpy()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def to_page(table: pd.DataFrame, title: str) -> str:
    """The readable table as an HTML page that needs nothing else."""
    return table_page(title, readable(table).to_html(index=False, border=0))
