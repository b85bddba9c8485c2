"""A study of a user's own: its configuration, and what a hub and the disk hold for it."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from pyarrow import parquet as pq

from dpo_neurons.study.datasets import synthetic_rows
from dpo_neurons.study.synthetic_language import INSULT_NOUNS, KIND_NOUNS
from support.hub_stand_in import HubStandIn

RESULTS = Path("results/real")
FIGURES = ("1a_layer_projections", "6_tradeoff", "9_prediction", "13_reduction_sources")
"""Those that the study is run to, one of each kind of file; the micro study is run to all."""
MODELS = ("adapted", "restored")
DIRECTIONS = ("probe", "given", "words", "shared")
INTERVENTIONS = ("none", "dpo", "ablate_top_6", "patch_tp", "control_tp")
PROMPTS, TOKENS, LAYERS, WIDTH = 8, 4, 2, 32
OTHER = "0" * 40
"""A commit that no repository has."""
REPOSITORIES = {
    "base": "model",
    "adapter": "model",
    "classifier": "model",
    "prompts": "dataset",
    "wiki": "dataset",
}


def lay_out(directory: Path, brought: Path, checkpoint: Path) -> None:
    """Put what the hub holds into hub/, and what the user has on disk into mine/."""
    for folder in ("mine", "hub/prompts", "hub/wiki/raw"):
        (directory / folder).mkdir(parents=True)
    shutil.copytree(checkpoint, directory / "hub/base", ignore=shutil.ignore_patterns(".*"))
    shutil.copytree(brought / "adapter", directory / "hub/adapter")
    shutil.copytree(brought / "classifier", directory / "hub/classifier")
    with (directory / "hub/prompts/prompts.jsonl").open("w", encoding="utf-8") as lines:
        for number, row in enumerate(synthetic_rows("challenge_prompts", 12, 3)):
            prompt = {"text": row["prompt"], "toxicity": None}
            lines.write(json.dumps({"prompt": prompt, "challenging": number % 3 != 0}) + "\n")
    for split in ("test", "validation"):
        texts = [row["text"] for row in synthetic_rows("perplexity_text", 9, len(split))]
        lines = [line for text in texts for line in (text, "", " = Today = ")]
        pq.write_table(pa.table({"text": lines}), directory / f"hub/wiki/raw/{split}-0.parquet")

    shutil.copy(brought / "post.pt", directory / "mine/post.pt")
    np.save(directory / "mine/direction.npy", np.random.default_rng(8).normal(size=WIDTH))
    with (directory / "mine/train.csv").open("w", encoding="utf-8", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["id", "comment_text", "toxic", "obscene"])
        for number, row in enumerate(synthetic_rows("labelled_comments", 80, 3)):
            table.writerow([f"{number:x}", f'{row["text"]}\n"{number}", he said', row["toxic"], 0])


def hold(hub: HubStandIn, directory: Path) -> dict[str, str]:
    """Let the hub hold what is in hub/; returns the commit of each repository."""
    return {
        name: hub.add(kind, f"some/{name}", directory / "hub" / name)
        for name, kind in REPOSITORIES.items()
    }


def study(commits: dict[str, str]) -> dict[str, Any]:
    """The study's configuration; what it leaves out has a default."""

    def on_hub(name: str, **further: Any) -> dict[str, Any]:
        pin = {"repository": f"some/{name}", "revision": commits[name]}
        return {"kind": "hub", **pin, **further}

    wiki = {"rows": PROMPTS, "columns": {"text": "text"}}
    comments = {"kind": "file", "path": "mine/train.csv", "columns": {"text": "comment_text"}}
    return {
        "study": "real",
        "data": {
            "challenge_prompts": on_hub(
                "prompts",
                files="prompts.jsonl",
                columns={"prompt": "prompt.text"},
                where={"challenging": True},
            ),
            "reference_sentences": on_hub(
                "wiki", files="raw/validation-*.parquet", prompt_words=6, **wiki
            ),
            "perplexity_text": on_hub("wiki", files="raw/test-*.parquet"),
            "labelled_comments": comments,
        },
        "models": {
            "adapted": {"pre": on_hub("base"), "post": on_hub("adapter") | {"kind": "adapter"}},
            "restored": {
                "pre": on_hub("base"),
                "post": {"kind": "state_dict", "path": "mine/post.pt"},
            },
        },
        "directions": {
            "probe": {"kind": "probe", "validation_share": 0.2},
            "given": {"kind": "file", "path": "mine/direction.npy"},
            "words": {
                "kind": "embedding",
                "words": [*INSULT_NOUNS],
                "neutral_words": [*KIND_NOUNS],
            },
            "shared": {"kind": "svd", "from": "probe", "neurons": 9, "components": 2},
        },
        "generation": {"tokens": TOKENS},
        "perplexity": {"window": 32},
        "bootstrap": {"resamples": 50},
        "scorer": on_hub("classifier", label="toxic", activation="softmax")
        | {"kind": "classifier"},
        "interventions": {
            "ablate_top_6": {"kind": "ablate", "top": 6},
            "patch_tp": {"kind": "patch", "groups": ["TP-"]},
        },
        "figures": {
            "1a_layer_projections": {"ablated": "ablate_top_6"},
            "2b_rank_composition": {"top": 50, "bins": 5},
            "2c_projection_shifts": {"last": 15},
            "4_top_activations": {"top": 10},
            "5a_top_toxic_shifts": {"first": 1, "last": 10},
            "5b_later_toxic_shifts": {"first": 21, "last": 30},
        },
        "compute": {"device": "cpu", "batch_size": 8, "threads": 1},
    }


def targets() -> list[str]:
    """Tables and FIGURES of the first model; of the second, its table and one direction."""
    names = ["sources.csv"]
    for model, directions in (("adapted", DIRECTIONS), ("restored", ("probe",))):
        names += [f"tables/{model}.{end}" for end in ("csv", "md", "html")]
        names += [f"groups/{model}/{name}.csv" for name in directions]
    names += [f"logit_lens/adapted/{name}.{end}" for name in DIRECTIONS for end in ("csv", "html")]
    names += [
        f"figures/adapted/{figure}.{end}"
        for figure in FIGURES
        for end in ("json", "html", "svg", "png")
    ]
    return [str(RESULTS / name) for name in names]


def write_study(directory: Path, commits: dict[str, str], *changes: tuple[str, Any]) -> Path:
    """Write the configuration with some keys, a.b.c, set to other values."""
    config = study(commits)
    for key, value in changes:
        *sections, last = key.split(".")
        section = config
        for name in sections:
            section = section[name]
        section[last] = value
    path = directory / "real.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path
