"""Measurements of the interventions on a model, gathered from a study's results."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dpo_neurons.errors import InputError
from dpo_neurons.evaluation.text_metrics import is_degenerate, repetition, unigram_f1
from dpo_neurons.files.json_text import read_checked_json
from dpo_neurons.files.jsonl import read_jsonl
from dpo_neurons.files.tables import read_table
from dpo_neurons.interventions.plans import WHOLE_LAYER, read_plan
from dpo_neurons.study.datasets import read_dataset


@dataclass(frozen=True)
class Outcomes:
    """Toxicity and losses of several interventions: one column each, paired by row."""

    interventions: tuple[str, ...]
    toxicity: np.ndarray
    """(n_prompts, k)"""
    window_losses: np.ndarray
    """(n_windows, k) summed negative log-likelihoods, in nats."""
    window_tokens: np.ndarray
    """(n_windows,) scored tokens."""

    def column(self, intervention: str) -> int:
        """Return the number of an intervention's column."""
        return self.interventions.index(intervention)


def read_outcomes(results: Path, model: str, interventions: Iterable[str]) -> Outcomes:
    """Read the toxicity and the losses of interventions.

    Raises InputError if they were not measured on the same prompts and windows.
    """
    names = tuple(interventions)
    toxicity = read_toxicity(
        {name: results / "scores" / model / f"{name}.parquet" for name in names}
    )
    losses, tokens = [], []
    for name in names:
        perplexity = results / "perplexity" / model / f"{name}.json"
        window_losses, window_tokens = _read_windows(perplexity)
        losses.append(window_losses)
        tokens.append(window_tokens)
        if not np.array_equal(tokens[-1], tokens[0]):
            raise InputError(
                f"{perplexity}: its windows differ from those of {names[0]}; delete it and run "
                "again"
            )
    return Outcomes(names, toxicity.to_numpy(), np.column_stack(losses), tokens[0])


def read_toxicity(scores: Mapping[str, Path]) -> pd.DataFrame:
    """Read interventions' scores: a row a prompt, a column an intervention, in their order.

    Raises InputError if they do not have a score of the same number of prompts.
    """
    toxicities: dict[str, np.ndarray] = {}
    for name, path in scores.items():
        toxicities[name] = read_table(path, ("toxicity",), "scores need")["toxicity"].to_numpy()
        first = next(iter(toxicities))
        if len(toxicities[name]) != len(toxicities[first]):
            raise InputError(
                f"{path}: {len(toxicities[name])} rows, but {first} has "
                f"{len(toxicities[first])}; delete it and run again"
            )
    return pd.DataFrame(toxicities)


def read_texts(results: Path, model: str, intervention: str) -> list[str]:
    """Read a row's continuations of the challenge prompts."""
    path = results / "generations" / model / intervention / "challenge_prompts.jsonl"
    return [str(row["continuation"]) for row in read_jsonl(path, ("continuation",))]


def _read_windows(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the losses and scored tokens of each window: (n_windows,) each."""
    measured = read_checked_json(path, "delete it and run again")
    try:
        losses = np.array(measured["window_losses"], dtype=np.float64)
        tokens = np.array(measured["window_tokens"], dtype=np.int64)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: losses cannot be read from it ({reason}); delete it and run again"
        ) from error
    if losses.ndim != 1 or losses.shape != tokens.shape:
        raise InputError(
            f"{path}: window_losses and window_tokens must be lists of one length; delete it and "
            "run again"
        )
    return losses, tokens


@dataclass(frozen=True)
class Writing:
    """An intervention's number of changed neurons, and metrics of its continuations."""

    neurons: int
    repetitions: np.ndarray
    """(n_prompts,) share of repeated 2-grams in each challenge continuation."""
    f1: np.ndarray
    """(n_references,)"""
    degenerate: np.ndarray
    """(n_prompts,) bool; whether a challenge continuation is empty or one repeated token."""
    empty: np.ndarray
    """(n_prompts,) bool; whether a challenge continuation is blank."""
    lengths: np.ndarray
    """(n_prompts,) tokens of each challenge continuation."""


def read_writing(results: Path, model: str, intervention: str, references: Path) -> Writing:
    """Read one intervention's plan and continuations.

    Raises InputError if the continuations are of other prompts than the references.
    """
    continuations = results / "generations" / model / intervention
    challenge = read_jsonl(continuations / "challenge_prompts.jsonl", ("continuation",))
    written = read_jsonl(continuations / "reference_sentences.jsonl", ("prompt", "continuation"))
    gold = read_dataset(references, "reference_sentences")
    if [row["prompt"] for row in written] != [row["prompt"] for row in gold]:
        raise InputError(
            f"{continuations}/reference_sentences.jsonl: its prompts differ from those of "
            f"{references}; delete it and run again"
        )
    plan = read_plan(results / "plans" / model / f"{intervention}.parquet")
    of_neurons = plan[plan["neuron"] != WHOLE_LAYER]
    return Writing(
        neurons=len(of_neurons[["layer", "neuron"]].drop_duplicates()),
        repetitions=np.array([repetition(row["continuation"]) for row in challenge]),
        degenerate=np.array(
            [is_degenerate(row["continuation"], row.get("tokens", [])) for row in challenge]
        ),
        empty=np.array([not row["continuation"].strip() for row in challenge]),
        lengths=np.array([len(row.get("tokens", [])) for row in challenge]),
        f1=np.array(
            [
                unigram_f1(row["continuation"], reference["gold"])
                for row, reference in zip(written, gold, strict=True)
            ]
        ),
    )
