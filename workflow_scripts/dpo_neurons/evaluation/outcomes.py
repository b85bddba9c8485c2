"""Measurements of the interventions on a model, gathered from a study's results."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dpo_neurons.errors import InputError
from dpo_neurons.evaluation.text_metrics import is_degenerate, repetition, unigram_f1
from dpo_neurons.files.json_text import read_checked_json
from dpo_neurons.files.jsonl import read_jsonl
from dpo_neurons.files.tables import read_table
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
    """(n_windows, k) summed negative log-likelihoods, in nats."""
    window_tokens: np.ndarray
    """(n_windows,) scored tokens."""
    equal_length: np.ndarray
    """(n_prompts, k) toxicity of the continuations, cut to as many tokens as dpo's."""

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
    windows: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for path in paths_of_entries(folders["perplexity"], rows, ".json"):
        windows |= _read_windows(path)
    for name in names:
        if name not in windows:
            raise InputError(
                f"{folders['perplexity']}: has no perplexity of row {name}; delete the folder and "
                "run again"
            )
        if not np.array_equal(windows[name][1], windows[names[0]][1]):
            entry = dict(zip(names, rows["entry"], strict=True))[name]
            raise InputError(
                f"{folders['perplexity'] / entry}.json: the windows of row {name} differ from "
                f"those of {names[0]}; delete it and run again"
            )
    losses = np.column_stack([windows[name][0] for name in names])
    return Outcomes(
        tuple(names), toxicity.to_numpy(), losses, windows[names[0]][1], equal_length.to_numpy()
    )


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


def _read_windows(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read the losses and scored tokens of each window, by row: (n_windows,) each."""
    measured = read_checked_json(path, "delete it and run again")
    try:
        windows = {
            str(row["intervention"]): (
                np.array(row["window_losses"], dtype=np.float64),
                np.array(row["window_tokens"], dtype=np.int64),
            )
            for row in measured["interventions"]
        }
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: losses cannot be read from it ({reason}); delete it and run again"
        ) from error
    for losses, tokens in windows.values():
        if losses.ndim != 1 or losses.shape != tokens.shape:
            raise InputError(
                f"{path}: window_losses and window_tokens must be lists of one length; delete it "
                "and run again"
            )
    return windows


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
