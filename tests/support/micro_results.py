"""Results of the micro study: their sizes, and each intervention's lines in files of many."""

import json
from pathlib import Path

import pandas as pd

from support.workflow import ENTRIES

LAYERS, NEURONS, WIDTH, PROMPTS, TOKENS = 2, 128, 32, 24, 5
GROUPS = ["TP-", "TN+", "AP+", "AN-", "TP+", "TN-", "AP-", "AN+"]


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def entry_of(name: str) -> str:
    """The entry of the micro study that a row, or the row that it controls, belongs to."""
    entries = {f"control_{entry.removeprefix('patch_')}": entry for entry in ENTRIES}
    return name if name in ENTRIES else entries[name]


def plan_of(results: Path, name: str) -> pd.DataFrame:
    """A row's lines in its entry's plans."""
    plans = pd.read_parquet(results / f"plans/toy/{entry_of(name)}.parquet")
    return plans[plans["intervention"] == name].drop(columns="intervention").reset_index(drop=True)


def written_by(results: Path, name: str, prompts: str) -> list[dict]:
    """A row's lines in its entry's continuations."""
    lines = rows_of(results / f"generations/toy/{entry_of(name)}/{prompts}.jsonl")
    return [line for line in lines if line["intervention"] == name]
