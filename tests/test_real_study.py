"""What a user with real checkpoints, data and scorers does, against a hub on loopback."""

import csv
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from hub_stand_in import HubStandIn
from pyarrow import parquet as pq
from safetensors.numpy import load_file
from workflow import FIGURES, copy_project, each, snakemake, stale_jobs
from workflow import RESULTS as MICRO

from dpo_neurons.checked_hdf5 import noted
from dpo_neurons.datasets import synthetic_rows
from dpo_neurons.synthetic_language import INSULT_NOUNS, KIND_NOUNS

pytest_plugins = ["finished_study"]

RESULTS = Path("results/real")
MODELS = ("adapted", "restored")
DIRECTIONS = ("probe", "given", "words", "shared")
INTERVENTIONS = ("none", "dpo", "ablate_top_6", "patch_tp", "control_tp")
PROMPTS, TOKENS, LAYERS, WIDTH = 8, 4, 2, 32
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
    """All that `figures` makes of the first model; of the second, its table and one direction."""
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


@pytest.fixture(scope="module")
def real(once, finished_study: Path, brought: Path) -> Path:
    """The finished study of what a user brings; to be read, not changed."""

    def make(directory: Path) -> str:
        copy_project(directory)
        lay_out(directory, brought, finished_study / MICRO / "checkpoints/toy/pre")
        with HubStandIn() as hub:
            config = write_study(directory, hold(hub, directory))
            environment = hub.environment(directory / "cache")
            command = [*targets(), "--cores", "2"]
            result = snakemake(directory, *command, config=config, environment=environment)
        return "" if result.returncode == 0 else result.stdout

    return once("real_study", make)


@pytest.fixture(scope="module")
def commits(real: Path) -> dict[str, str]:
    """The commit of each repository."""
    return hold(HubStandIn(), real)


@pytest.fixture(scope="module")
def results(real: Path) -> Path:
    return real / RESULTS


def test_the_study_runs_to_every_figure_and_table(real: Path, results: Path) -> None:
    assert [path for path in targets() if not (real / path).is_file()] == []
    assert list(results.rglob(".partial-*")) == []
    for model in MODELS:
        table = pd.read_csv(results / f"tables/{model}.csv")
        assert tuple(table["intervention"]) == INTERVENTIONS
        assert table["toxicity"].between(0, 1, inclusive="neither").all()
        assert table["toxicity"].nunique() > 2


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
                revision = noted(file)["revision"]
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
            means, outputs = file["mean"][:].astype(float), file["mlp_output"][:].astype(float)
        for layer in range(LAYERS):
            down = f"transformer.h.{layer}.mlp.c_proj"
            drop[layer] += sign * (outputs[layer] - weights[f"{down}.bias"]) @ direction
            size[layer] += np.abs(means[layer] * (weights[f"{down}.weight"] @ direction)).sum()
    neurons = pd.read_parquet(results / f"contributions/{model}/{name}.parquet")
    sums = neurons.groupby("layer")["reduction"].sum()
    assert (np.abs(sums - drop) < 1e-4 * size).all()
    assert np.abs(drop).max() > 1e-3


def test_directions_are_those_that_were_asked_for(real: Path, results: Path) -> None:
    found = {
        name: load_file(results / f"directions/adapted/{name}.safetensors")["direction"]
        for name in DIRECTIONS
    }
    assert {name: rows.shape for name, rows in found.items()} == {
        "probe": (1, WIDTH), "given": (1, WIDTH), "words": (1, WIDTH), "shared": (2, WIDTH)
    }  # fmt: skip
    mine = np.load(real / "mine/direction.npy")
    np.testing.assert_allclose(found["given"][0], mine / np.linalg.norm(mine), atol=1e-6)
    np.testing.assert_allclose(found["shared"] @ found["shared"].T, np.eye(2), atol=1e-6)
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


SCORES = each("score_continuations", (f"{m} {one}" for m in MODELS for one in INTERVENTIONS))
DRAWN_FROM_TABLE = "draw_tradeoff draw_edit_grid draw_key_scaling predict_toxicity draw_prediction"
TABLES = each("tabulate_interventions", MODELS) | each(DRAWN_FROM_TABLE, {"adapted"})
OTHER = "0" * 40


@pytest.mark.parametrize(
    ("key", "value", "rebuilt"),
    [
        ("scorer.activation", "sigmoid", SCORES | TABLES),
        ("scorer.revision", OTHER,
         {"fetch_from_hub scorer", "tabulate_sources"} | SCORES | TABLES),
        ("data.reference_sentences.rows", 7, {"import_hub_data reference_sentences",
         "tabulate_sources"} | each("run_intervention",
         (f"{m} {one}" for m in MODELS for one in INTERVENTIONS)) | SCORES | TABLES),
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
        "tables/adapted.csv",
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


@pytest.fixture
def hub() -> Iterator[HubStandIn]:
    with HubStandIn() as hub:
        yield hub


@pytest.fixture
def fails(real: Path, hub: HubStandIn, tmp_path: Path) -> Callable[..., str]:
    """Run the study, changed, to a target; it must fail with one sentence, which is returned."""
    project = tmp_path / "project"
    left_behind = shutil.ignore_patterns("results", ".snakemake", "cache", "hub")
    shutil.copytree(real, project, symlinks=True, ignore=left_behind)
    commits = hold(hub, real)

    def run(target: str, *changes: tuple[str, Any]) -> str:
        config = write_study(project, commits, *changes)
        environment = hub.environment(tmp_path / "cache")
        command = [str(RESULTS / target), "--cores", "1"]
        result = snakemake(project, *command, config=config, environment=environment)
        assert result.returncode == 1, result.stdout
        assert "Traceback" not in result.stdout, result.stdout
        said = [line.strip() for line in result.stdout.splitlines()]
        (sentence,) = {line for line in said if line.startswith("Error: ")}
        assert not (project / RESULTS / target).exists()
        return sentence

    return run


def test_a_licence_that_is_not_accepted_is_told_with_where_to_do_so(hub, fails) -> None:
    hub.fail("some/base", 403, code="GatedRepo")
    sentence = fails("checkpoints/adapted/pre")
    page = f"{hub.endpoint}/some/base"
    assert sentence == (
        f"Error: some/base: the licence has to be accepted first; do so at {page}, then set "
        "HF_TOKEN to a token of that account"
    )


def test_an_unknown_revision_is_told_with_where_to_look(hub, fails) -> None:
    sentence = fails("data/perplexity_text.jsonl", ("data.perplexity_text.revision", OTHER))
    assert sentence.startswith(f"Error: some/wiki: no commit {OTHER} in it")
    assert f"{hub.endpoint}/datasets/some/wiki/commits/main" in sentence


def test_a_hub_out_of_reach_is_told_with_the_command_that_fills_the_cache(hub, fails) -> None:
    hub.stop()
    sentence = fails("fetched/scorer")
    assert f"Error: some/classifier: {hub.endpoint} cannot be reached" in sentence
    assert "hf download some/classifier --revision" in sentence


def test_a_quantised_checkpoint_is_refused_with_the_reason(hub, fails, real, tmp_path) -> None:
    quantised = Path(shutil.copytree(real / "hub/base", tmp_path / "quantised"))
    settings = json.loads((quantised / "config.json").read_text())
    settings["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (quantised / "config.json").write_text(json.dumps(settings))
    pin = {"repository": "some/codes", "revision": hub.add("model", "some/codes", quantised)}
    change = ("models.restored.pre", {"kind": "hub", **pin})
    sentence = fails("checkpoints/restored/pre", change)
    assert "the weights are quantised (gptq)" in sentence
    assert "integer codes" in sentence


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
