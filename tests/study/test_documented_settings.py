"""Every piece of a configuration that the documentation shows is accepted as it stands there."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dpo_neurons.study import checks as study_checks
from dpo_neurons.study.datasets import TEXT_KEYS

PROJECT = Path(__file__).parents[2]
MINIMAL = {
    "study": "mine",
    "data": {"labelled_comments": {"kind": "file", "path": "data/train.csv"}},
    "models": {
        "mine": {
            "pre": {"kind": "directory", "path": "before"},
            "post": {"kind": "directory", "path": "after"},
        }
    },
}
NEEDED_BY = {
    "dpo": {"preference_pairs": {"kind": "file", "path": "pairs.jsonl"}},
    "sft": {"demonstrations": {"kind": "file", "path": "answers.jsonl"}},
    "pair_svd": {"preference_pairs": {"kind": "file", "path": "pairs.jsonl"}},
    "lexicon": {"lexicon": {"kind": "synthetic"}},
}
"""Data sets that a kind of checkpoint or scorer needs."""


def shown() -> dict[str, str]:
    """Each YAML block, or each line of one that lists alternatives, by its file and number."""
    shown_blocks = {}
    for path in [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]:
        blocks = re.findall(r"```yaml\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
        for number, block in enumerate(blocks, start=1):
            lines = block.splitlines()
            keys = [line.split(":")[0] for line in lines if not line.startswith((" ", "#"))]
            pieces = lines if len(set(keys)) < len(keys) == len(lines) else [block]
            for place, piece in enumerate(pieces, start=1):
                shown_blocks[f"{path.name}-{number}-{place}"] = piece.replace("<commit>", "a" * 40)
    return shown_blocks


def placed(piece: dict[str, Any]) -> dict[str, Any]:
    """A piece under the keys where it belongs."""
    if piece.keys() <= TEXT_KEYS.keys():
        return {"data": piece}
    if piece.keys() <= {"pre", "post"}:
        return {"models": {"mine": piece}}
    if all(isinstance(one, dict) and "kind" in one for one in piece.values()):
        return piece if "scorer" in piece else {"directions": piece}
    return piece


def merged(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """Both mappings, deeply; an entry with a kind is taken whole."""
    both = dict(base)
    for key, value in overlay.items():
        deep = isinstance(value, dict) and isinstance(base.get(key), dict) and "kind" not in value
        both[key] = merged(base[key], value) if deep else value
    return both


@pytest.mark.parametrize("name", shown())
def test_what_the_documentation_shows_is_accepted(name: str, monkeypatch) -> None:
    piece = placed(yaml.safe_load(shown()[name]))
    config = merged(MINIMAL, piece)
    kinds = re.findall(r"'kind': '(\w+)'", str(piece))
    for kind in kinds:
        config["data"] = NEEDED_BY.get(kind, {}) | config["data"]
    if "svd" in kinds:
        config["directions"]["probe"] = {"kind": "probe", "validation_share": 0.1}
    elif "directions" in piece and "probe" not in config["directions"]:
        config["direction"] = next(iter(config["directions"]))
    monkeypatch.setattr(study_checks, "check_paths", lambda study, source: None)
    assert study_checks.check_study(config, f"{name}.yaml").config["study"]


def test_all_that_is_shown_was_found() -> None:
    files = {name.split("-")[0] for name in shown()}
    assert {"README.md", "checkpoints.md", "data.md", "directions.md", "scorers.md"} <= files
    assert len(shown()) >= 14
