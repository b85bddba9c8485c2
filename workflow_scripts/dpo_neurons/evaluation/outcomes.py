"""Measurements of the interventions on a model, gathered from a study's results."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dpo_neurons.errors import InputError
from dpo_neurons.evaluation.text_metrics import is_degenerate, repetition, unigram_f1
from dpo_neurons.files.jsonl import read_jsonl
from dpo_neurons.files.tables import read_table
from dpo_neurons.interventions.perplexity_files import WindowLosses, read_window_losses
from dpo_neurons.interventions.plans import empty_plan, read_plans, select_neuron_rows
from dpo_neurons.study.datasets import read_dataset

EQUAL_LENGTH = "toxicity_equal_length"
"""Column of scores: toxicity of continuations cut to as many tokens as dpo's on the same prompt."""


@dataclass(frozen=True)
class Outcomes:
    """Toxicity and losses of several interventions: one column each, paired by row."""

    interventions: tuple[str, ...]
    toxicity: np.ndarray
    """(n_prompts, k)"""
    window_losses: np.ndarray
    """(n_windows, k) summed negative log-likelihoods, in nats; NaN where a row was not read."""
    window_tokens: np.ndarray
    """(n_windows,) scored tokens."""
    equal_length: np.ndarray
    """(n_prompts, k) toxicity of the continuations, cut to as many tokens as dpo's."""

    @property
    def screened(self) -> np.ndarray:
        """Whether each row, (k,) bool, breaks the model and was read on the first windows alone."""
        screened: np.ndarray = np.isnan(self.window_losses).any(axis=0)
        return screened

    def column(self, intervention: str) -> int:
        """Return the number of an intervention's column."""
        return self.interventions.index(intervention)


def read_outcomes(results: Path, model: str, rows: pd.DataFrame) -> Outcomes:
    """Read the toxicity and the losses of interventions; rows: with intervention and entry.

    Raises InputError if they were not measured on the same prompts and windows.
    """
    names = rows["intervention"].tolist()
    folders = {part: results / part / model for part in ("scores", "perplexity")}
    scores = gather_scores(paths_of_entries(folders["scores"], rows, ".parquet"), EQUAL_LENGTH)
    toxicity, equal_length = (
        choose_toxicity(scores, names, column) for column in ("toxicity", EQUAL_LENGTH)
    )
    windows: dict[str, WindowLosses] = {}
    for path in paths_of_entries(folders["perplexity"], rows, ".json"):
        windows |= read_window_losses(path)
    # The first row is an unchanged model, which no screening stops.
    all_tokens = windows[names[0]].tokens if names[0] in windows else np.zeros(0)
    for name in names:
        if name not in windows:
            raise InputError(
                f"{folders['perplexity']}: has no perplexity of row {name}; delete the folder and "
                "run again"
            )
        tokens, screened = windows[name].tokens, windows[name].screened
        if not np.array_equal(tokens, all_tokens[: len(tokens)] if screened else all_tokens):
            entry = dict(zip(names, rows["entry"], strict=True))[name]
            raise InputError(
                f"{folders['perplexity'] / entry}.json: the windows of row {name} differ from "
                f"those of {names[0]}; delete it and run again"
            )
    losses = np.full((len(all_tokens), len(names)), np.nan)
    for column, name in enumerate(names):
        losses[: len(windows[name].losses), column] = windows[name].losses
    return Outcomes(tuple(names), toxicity.to_numpy(), losses, all_tokens, equal_length.to_numpy())


def paths_of_entries(folder: Path, rows: pd.DataFrame, ending: str) -> list[Path]:
    """List the files of the entries of rows in a folder, each once, in the rows' order."""
    return [folder / f"{entry}{ending}" for entry in rows["entry"].unique()]


class RowScores(NamedTuple):
    """A row's scores: a line a continuation, and the entry's file that they are from."""

    path: Path
    lines: pd.DataFrame


def gather_scores(paths: Iterable[Path], *columns: str) -> dict[str, RowScores]:
    """Read the scores of entries' rows, by name. They have toxicity, and these columns besides.

    Raises InputError if a file is damaged or lacks a column.
    """
    needed = ("intervention", "toxicity", *columns)
    return {
        str(name): RowScores(path, lines.reset_index(drop=True))
        for path in paths
        for name, lines in read_table(path, needed, "scores need").groupby(
            "intervention", sort=False
        )
    }


def choose_toxicity(
    scores: Mapping[str, RowScores], names: Sequence[str], column: str = "toxicity"
) -> pd.DataFrame:
    """Put named rows' scores side by side: a line a prompt, a column a row, in their order.

    column: toxicity, or EQUAL_LENGTH.
    Raises InputError if a row has no scores, or of another number of prompts than the others.
    """
    for name in names:
        if name not in scores:
            raise InputError(f"scores: there are none of row {name}; delete them and run again")
        path, lines = scores[name]
        first = scores[names[0]].lines
        if len(lines) != len(first):
            raise InputError(
                f"{path}: {len(lines)} scores of row {name}, but {names[0]} has {len(first)}; "
                "delete it and run again"
            )
    return pd.DataFrame({name: scores[name].lines[column].to_numpy() for name in names})


def read_texts(results: Path, model: str, rows: pd.DataFrame) -> dict[str, list[str]]:
    """Read rows' continuations of the challenge prompts, by row; rows: as in read_outcomes."""
    folder, ending = results / "generations" / model, "/challenge_prompts.jsonl"
    return {
        name: [str(line["continuation"]) for line in lines]
        for path in paths_of_entries(folder, rows, ending)
        for name, lines in _read_by_row(path).items()
    }


def _read_by_row(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Read the continuations of an entry's rows, by row."""
    lines = read_jsonl(path, ("intervention", "prompt", "continuation"))
    by_row: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        by_row.setdefault(line["intervention"], []).append(line)
    return by_row


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


def read_writings(results: Path, model: str, rows: pd.DataFrame, references: Path) -> list[Writing]:
    """Read the plans and continuations of interventions; rows: with intervention and entry.

    Raises InputError if continuations are missing, or of other prompts than the references.
    """
    gold = read_dataset(references, "reference_sentences")
    writings = []
    for entry, names in rows.groupby("entry", sort=False)["intervention"]:
        plans = read_plans(results / "plans" / model / f"{entry}.parquet")
        continuations = results / "generations" / model / str(entry)
        challenge, written = (
            _read_by_row(continuations / f"{prompts}.jsonl")
            for prompts in ("challenge_prompts", "reference_sentences")
        )
        for name in names:
            lines = written.get(name, [])
            if [line["prompt"] for line in lines] != [line["prompt"] for line in gold]:
                raise InputError(
                    f"{continuations}/reference_sentences.jsonl: the prompts of row {name} differ "
                    f"from those of {references}; delete it and run again"
                )
            plan = plans.get(name, empty_plan())
            writings.append(_describe_writing(plan, challenge.get(name, []), lines, gold))
    return writings


def _describe_writing(
    plan: pd.DataFrame,
    challenge: Sequence[Mapping[str, Any]],
    written: Sequence[Mapping[str, Any]],
    gold: Sequence[Mapping[str, Any]],
) -> Writing:
    """Measure a row's continuations of challenge prompts and of reference sentences."""
    neurons = select_neuron_rows(plan)[["layer", "neuron"]].drop_duplicates()
    return Writing(
        neurons=len(neurons),
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
