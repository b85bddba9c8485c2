"""A study with a user's own checkpoints, data and scorer: its first run and reruns."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet as pq
from safetensors.numpy import load_file
from support.hub_stand_in import HubStandIn
from support.real_study import (
    DIRECTIONS,
    INTERVENTIONS,
    LAYERS,
    MODELS,
    OTHER,
    PROMPTS,
    RESULTS,
    WIDTH,
    hold,
    targets,
    write_study,
)
from support.workflow import RESULTS as MICRO
from support.workflow import each, snakemake, stale_jobs

from dpo_neurons.files.hdf5 import read_attributes
from dpo_neurons.notebook.study_results import open_study
from dpo_neurons.study.datasets import synthetic_rows
from dpo_neurons.study.synthetic_language import INSULT_NOUNS

pytest_plugins = ["support.finished_real_study"]


def test_the_study_runs_to_every_figure_and_table(real: Path, results: Path) -> None:
    assert [path for path in targets() if not (real / path).is_file()] == []
    assert list(results.rglob(".partial-*")) == []
    for model in MODELS:
        table = pd.read_csv(results / f"tables/{model}.csv")
        assert tuple(table["intervention"]) == INTERVENTIONS
        assert table["toxicity"].between(0, 1, inclusive="neither").all()
        # Which rows write other texts hangs on rounding; that their scores then differ does not.
        study = open_study(results)
        texts = {
            name: study.generations(model, name)["continuation"].tolist() for name in INTERVENTIONS
        }
        toxicity = table.set_index("intervention")["toxicity"]
        for name in INTERVENTIONS:
            assert (toxicity[name] == toxicity["none"]) == (texts[name] == texts["none"]), name


def test_a_second_run_has_nothing_to_do(real: Path) -> None:
    assert stale_jobs(real, "real.yaml", tuple(targets())) == set()


def test_data_are_the_rows_and_columns_that_were_asked_for(real: Path, results: Path) -> None:
    held = rows_of(real / "hub/prompts/prompts.jsonl")
    asked = [row["prompt"]["text"] for row in held if row["challenging"]]
    assert [row["prompt"] for row in rows_of(results / "data/challenge_prompts.jsonl")] == asked
    assert len(asked) == PROMPTS
    texts = pq.read_table(real / "hub/wiki/raw/validation-0.parquet")["text"].to_pylist()
    long = [text.split() for text in texts if len(text.split()) > 6]
    references = rows_of(results / "data/reference_sentences.jsonl")
    assert [row["prompt"].split() for row in references] == [words[:6] for words in long[:PROMPTS]]
    comments = rows_of(results / "data/labelled_comments.jsonl")
    assert [row["toxic"] for row in comments] == [
        row["toxic"] for row in synthetic_rows("labelled_comments", 80, 3)
    ]
    assert comments[7]["text"].endswith('\n"7", he said')


def test_activations_say_which_commit_they_are_of(results: Path, commits: dict[str, str]) -> None:
    for model in MODELS:
        for stage in ("pre", "post"):
            with h5py.File(results / f"activations/{model}/{stage}.h5") as file:
                revision = read_attributes(file)["revision"]
            source = json.loads((results / f"checkpoints/{model}/{stage}.source.json").read_text())
            assert revision == source["revision"]
            assert revision == commits["base"] if stage == "pre" else revision[:7] == "sha256:"


def test_second_checkpoints_are_what_their_files_say(
    real: Path, results: Path, finished_study: Path
) -> None:
    tuned = load_file(finished_study / MICRO / "checkpoints/toy/post/model.safetensors")
    restored = load_file(results / "checkpoints/restored/post/model.safetensors")
    assert restored.keys() == tuned.keys()
    assert all(np.array_equal(restored[name], tuned[name]) for name in tuned)

    base = load_file(real / "hub/base/model.safetensors")
    merged = load_file(results / "checkpoints/adapted/post/model.safetensors")
    factors = load_file(real / "hub/adapter/adapter_model.safetensors")
    settings = json.loads((real / "hub/adapter/adapter_config.json").read_text())
    changed = {name for name in base if not np.array_equal(base[name], merged[name])}
    assert len(changed) * 2 == len(factors) > 0
    for name in changed:
        layer = f"base_model.model.{name.removesuffix('.weight')}.lora_"
        low_rank = factors[f"{layer}B.weight"] @ factors[f"{layer}A.weight"]
        expected = base[name] + settings["lora_alpha"] / settings["r"] * low_rank.T
        np.testing.assert_allclose(merged[name], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "name"), [*(("adapted", name) for name in DIRECTIONS), ("restored", "probe")]
)
def test_reductions_add_up_to_the_drop_of_each_layers_output(results, model, name) -> None:
    direction = load_file(results / f"directions/{model}/{name}.safetensors")["direction"][0]
    drop, size = np.zeros(LAYERS), np.zeros(LAYERS)
    for stage, sign in (("pre", 1), ("post", -1)):
        weights = load_file(results / f"checkpoints/{model}/{stage}/model.safetensors")
        with h5py.File(results / f"activations/{model}/{stage}.h5") as file:
            means, outputs = (
                file["mlp_post_mean"][:].astype(float),
                file["mlp_out_mean"][:].astype(float),
            )
        for layer in range(LAYERS):
            down = f"transformer.h.{layer}.mlp.c_proj"
            drop[layer] += sign * (outputs[layer] - weights[f"{down}.bias"]) @ direction
            size[layer] += np.abs(means[layer] * (weights[f"{down}.weight"] @ direction)).sum()
    neurons = pd.read_parquet(results / f"contributions/{model}/{name}.parquet")
    sums = neurons.groupby("layer")["reduction"].sum()
    assert (np.abs(sums - drop) < 1e-4 * size).all()
    assert np.abs(drop).max() > 1e-3


def test_directions_are_those_that_were_asked_for(real: Path, results: Path) -> None:
    directions = {
        name: load_file(results / f"directions/adapted/{name}.safetensors")["direction"]
        for name in DIRECTIONS
    }
    assert {name: rows.shape for name, rows in directions.items()} == {
        "probe": (1, WIDTH), "given": (1, WIDTH), "words": (1, WIDTH), "shared": (2, WIDTH)
    }  # fmt: skip
    mine = np.load(real / "mine/direction.npy")
    np.testing.assert_allclose(directions["given"][0], mine / np.linalg.norm(mine), atol=1e-6)
    np.testing.assert_allclose(directions["shared"] @ directions["shared"].T, np.eye(2), atol=1e-6)
    lens = pd.read_csv(results / "logit_lens/adapted/words.csv")
    top = lens[lens["layer"].isna() & (lens["sign"] == "+")]["token"]
    assert len({token.strip("'") for token in top} & set(INSULT_NOUNS)) > 3


def test_the_sources_name_repositories_commits_and_checksums(
    real: Path, results: Path, commits: dict[str, str]
) -> None:
    table = pd.read_csv(results / "sources.csv", keep_default_na=False)
    pinned = table[table["kind"] == "hub"]
    assert dict(zip(pinned["origin"], pinned["revision"], strict=True)) == {
        f"some/{name}": commit for name, commit in commits.items()
    }
    for row in pinned[pinned["file"] != ""].itertuples():
        held = real / "hub" / row.origin.removeprefix("some/") / row.file
        assert row.sha256 == sha256_of(held)
    of_file = {(row.what, row.file): row.sha256 for row in table.itertuples()}
    train = of_file["data/labelled_comments", "mine/train.csv"]
    assert train == sha256_of(real / "mine/train.csv")
    for path in results.glob("data/*.jsonl"):
        assert of_file[f"data/{path.stem}", ""] == sha256_of(path)
    for model in MODELS:
        weights = "model.safetensors"
        made = results / f"checkpoints/{model}/post" / weights
        assert of_file[f"checkpoints/{model}/post", weights] == sha256_of(made)


ENTRIES = [f"{model} {name}" for model in MODELS for name in INTERVENTIONS if name != "control_tp"]
SCORES = each("score_continuations", ENTRIES)
DRAWN_FROM_TABLE = "tabulate_random_sets draw_tradeoff predict_toxicity draw_prediction"
TABLES = each("tabulate_interventions", MODELS) | each(DRAWN_FROM_TABLE, {"adapted"})


@pytest.mark.parametrize(
    ("key", "value", "rebuilt"),
    [
        ("scorer.activation", "sigmoid", SCORES | TABLES),
        ("scorer.revision", OTHER,
         {"fetch_from_hub scorer", "tabulate_sources"} | SCORES | TABLES),
        ("data.reference_sentences.rows", 7, {"import_hub_data reference_sentences",
         "tabulate_sources"} | each("run_interventions", ENTRIES) | SCORES | TABLES),
        ("models.adapted.gpus", 4, set()),
    ],
)  # fmt: skip
def test_a_changed_setting_rebuilds_what_it_enters_and_nothing_else(
    real: Path, commits: dict[str, str], tmp_path: Path, key: str, value: Any, rebuilt: set[str]
) -> None:
    config = write_study(tmp_path, commits, (key, value))
    assert stale_jobs(real, config, tuple(targets())) == rebuilt


def test_a_cache_gives_the_same_tables_without_a_hub(real: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    left_behind = shutil.ignore_patterns("results", ".snakemake", "cache")
    shutil.copytree(real, again, symlinks=True, ignore=left_behind)
    tables = [
        "sources.csv",
        "perplexity/adapted/dpo.json",
        "scores/adapted/dpo.parquet",
        "groups/adapted/shared.csv",
        "logit_lens/adapted/probe.csv",
    ]
    with HubStandIn() as hub:
        hold(hub, real)
        environment = hub.environment(real / "cache")
        command = [*(str(RESULTS / table) for table in tables), "--cores", "2"]
        result = snakemake(again, *command, config="real.yaml", environment=environment)
    assert result.returncode == 0, result.stdout
    assert hub.requests == []
    for table in tables:
        assert (again / RESULTS / table).read_bytes() == (real / RESULTS / table).read_bytes()


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
