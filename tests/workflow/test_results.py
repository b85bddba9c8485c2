"""Results of a run: paths, columns and units as documented, on the finished micro study."""

import hashlib
import json
import struct
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import h5py
import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file
from support.micro_results import (
    GROUPS,
    LAYERS,
    NEURONS,
    PROMPTS,
    TOKENS,
    WIDTH,
    plan_of,
    rows_of,
    written_by,
)
from support.workflow import DATASETS, ENTRIES, FIGURES, RESULTS, STAGES

from dpo_neurons.figures.style import MAX_JSON_BYTES
from dpo_neurons.files.hdf5 import read_attributes

pytest_plugins = ["support.finished_study"]


@pytest.fixture(scope="module")
def results(finished_study: Path) -> Path:
    return finished_study / RESULTS


@pytest.fixture(scope="module")
def neurons(results: Path) -> pd.DataFrame:
    return pd.read_parquet(results / "contributions/toy/probe.parquet")


def test_a_run_leaves_every_file_of_the_contract_and_no_partial_ones(results: Path) -> None:
    per_entry = [
        "plans/toy/{}.parquet",
        "generations/toy/{}/challenge_prompts.jsonl",
        "generations/toy/{}/reference_sentences.jsonl",
        "scores/toy/{}.parquet",
        "perplexity/toy/{}.json",
    ]
    expected = [path.format(name) for path in per_entry for name in ENTRIES]
    expected += [f"checkpoints/toy/{stage}/config.json" for stage in STAGES]
    expected += [f"activations/toy/{name}.h5" for name in (*STAGES, "ablate_top_6")]
    expected += ["directions/toy/probe.safetensors", "contributions/toy/probe.parquet"]
    tables = ["tables/toy", "logit_lens/toy/probe"]
    expected += [f"{table}.{end}" for table in tables for end in ("csv", "md", "html")]
    expected += [
        "groups/toy/probe.csv",
        "sources.csv",
        "sources.html",
        "data/tokenizer.source.json",
    ]
    expected += [f"checkpoints/toy/{stage}.source.json" for stage in STAGES]
    expected += [f"data/{name}.{end}" for name in DATASETS for end in ("jsonl", "source.json")]
    expected += [
        f"figures/toy/{name}.{end}" for name in FIGURES for end in ("json", "html", "svg", "png")
    ]
    assert [path for path in expected if not (results / path).is_file()] == []
    assert list(results.rglob(".partial-*")) == []


def test_the_direction_is_a_unit_row_that_says_how_it_was_made(results: Path) -> None:
    with safe_open(results / "directions/toy/probe.safetensors", framework="np") as file:
        direction, how = file.get_tensor("direction"), file.metadata()
    assert (direction.shape, direction.dtype) == ((1, WIDTH), np.float32)
    assert np.linalg.norm(direction) == pytest.approx(1, abs=1e-6)
    assert how["kind"] == "probe"
    assert 0 <= float(how["validation_accuracy"]) <= 1


@pytest.mark.parametrize("name", [*STAGES, "ablate_top_6"])
def test_activations_have_the_datasets_and_attributes_of_the_contract(results, name) -> None:
    with h5py.File(results / f"activations/toy/{name}.h5") as file:
        datasets = {key: (file[key].shape, file[key].dtype.name) for key in file}
        attributes = read_attributes(file)
        tokens, mask = file["tokens"][:], file["mask"][:]
        counts = mask.sum(axis=1)
        weighted = np.average(file["mlp_post"][:].astype(float), axis=0, weights=counts)
        np.testing.assert_allclose(weighted, file["mlp_post_mean"][:], rtol=2e-3, atol=1e-4)
    assert datasets == {
        "mlp_post_mean": ((LAYERS, NEURONS), "float32"),
        "mlp_post": ((PROMPTS, LAYERS, NEURONS), "float16"),
        "tokens": ((PROMPTS, TOKENS), "int32"),
        "mask": ((PROMPTS, TOKENS), "bool"),
        "mlp_out_mean": ((LAYERS, WIDTH), "float32"),
        "resid_pre": ((PROMPTS, 1, WIDTH), "float32"),
        "resid_post": ((PROMPTS, LAYERS, WIDTH), "float32"),
        "attn_z_mean": ((LAYERS, WIDTH), "float32"),
        "attn_z_normed": ((PROMPTS, LAYERS, WIDTH), "float16"),
        "attn_z_normed_mean": ((LAYERS, WIDTH), "float32"),
        "mlp_written_mean": ((LAYERS, WIDTH), "float32"),
    }
    assert set(attributes) >= {"model", "revision", "dtype", "positions", "versions"}
    assert (attributes["model"], attributes["dtype"]) == ("toy", "float64")
    assert attributes["positions"] == "generated"
    source = results / f"checkpoints/toy/{'post' if name == 'post' else 'pre'}.source.json"
    assert attributes["revision"] == json.loads(source.read_text(encoding="utf-8"))["revision"]
    row = {"pre": "none", "post": "dpo"}.get(name, name)
    written = written_by(results, row, "challenge_prompts")
    captured = [ids[kept].tolist() for ids, kept in zip(tokens, mask, strict=True)]
    assert captured == [one["tokens"] for one in written]


def test_the_capture_for_figure_1a_is_made_under_the_ablation(results: Path) -> None:
    plan = plan_of(results, "ablate_top_6")
    with h5py.File(results / "activations/toy/ablate_top_6.h5") as file:
        assert (file["mlp_post_mean"][:][plan["layer"], plan["neuron"]] == 0).all()
    with h5py.File(results / "activations/toy/pre.h5") as file:
        assert (file["mlp_post_mean"][:][plan["layer"], plan["neuron"]] != 0).all()


def test_contributions_are_a_row_a_neuron_in_the_columns_of_the_contract(neurons) -> None:
    assert " ".join(neurons.columns) == (
        "layer neuron cosine activation_pre activation_post projection_pre projection_post "
        "reduction group rank"
    )
    assert neurons["layer"].tolist() == [layer for layer in range(LAYERS) for _ in range(NEURONS)]
    assert neurons["neuron"].tolist() == [*range(NEURONS)] * LAYERS
    assert sorted(neurons["rank"]) == list(range(1, LAYERS * NEURONS + 1))
    assert neurons.sort_values("rank")["reduction"].is_monotonic_decreasing
    np.testing.assert_allclose(
        neurons["reduction"], neurons["projection_pre"] - neurons["projection_post"], atol=1e-12
    )


def test_reductions_add_up_to_the_drop_of_each_layers_output(results: Path, neurons) -> None:
    direction = load_file(results / "directions/toy/probe.safetensors")["direction"][0]
    projections, drop = {}, 0.0
    for stage, sign in (("pre", 1), ("post", -1)):
        tensors = load_file(results / f"checkpoints/toy/{stage}/model.safetensors")
        part = "transformer.h.{}.mlp.c_proj.{}"
        values = np.stack([tensors[part.format(layer, "weight")] for layer in range(LAYERS)])
        biases = np.stack([tensors[part.format(layer, "bias")] for layer in range(LAYERS)])
        with h5py.File(results / f"activations/toy/{stage}.h5") as file:
            mean, outputs = (
                file["mlp_post_mean"][:].astype(float),
                file["mlp_out_mean"][:].astype(float),
            )
        projections[stage] = mean * (values.astype(float) @ direction)
        drop = drop + sign * (outputs - biases) @ direction
    reductions = projections["pre"] - projections["post"]
    size = sum(np.abs(each).sum(axis=1) for each in projections.values())
    assert np.abs(reductions.sum(axis=1) - drop).max() < 1e-5 * size.min()
    np.testing.assert_allclose(neurons["reduction"], reductions.ravel(), rtol=1e-4, atol=1e-7)
    assert np.abs(drop).max() > 1e-3


def test_groups_add_up_their_neurons_and_share_each_side(results: Path, neurons) -> None:
    groups = pd.read_csv(results / "groups/toy/probe.csv")
    columns = ["group", "neurons", "reduction", "share", "share_low", "share_high"]
    sums = ["reduction_low", "reduction_high"]
    corrected = [
        f"crossfitted_{name}{end}"
        for name in ("reduction", "share")
        for end in ("", "_low", "_high")
    ]
    assert list(groups.columns) == [*columns, *sums, *corrected, "corrected_for_selection"]
    lows, highs = groups["crossfitted_reduction_low"], groups["crossfitted_reduction_high"]
    assert groups["crossfitted_reduction"].between(lows, highs).all()
    assert groups["reduction"].between(groups["reduction_low"], groups["reduction_high"]).all()
    assert groups["group"].tolist() == GROUPS
    for row in groups.itertuples():
        members = neurons[neurons["group"] == row.group]
        assert row.neurons == len(members)
        assert row.reduction == pytest.approx(members["reduction"].sum())
    for side in (groups[:4], groups[4:]):
        assert side["share"].sum() == pytest.approx(1)
        expected = side["reduction"] / side["reduction"].sum()
        np.testing.assert_allclose(side["share"], expected)
    assert (groups["share_low"] <= groups["share_high"]).all()


def test_the_logit_lens_shows_the_direction_and_what_is_closest_to_it(results, neurons) -> None:
    lens = pd.read_csv(results / "logit_lens/toy/probe.csv")
    columns = "direction layer neuron cosine sign rank token_id token product"
    assert " ".join(lens.columns) == columns
    assert len(lens) == (1 + 2 * 5) * 2 * 8
    assert lens["layer"].isna().sum() == 2 * 8
    shown = lens.dropna(subset="layer").drop_duplicates(["layer", "neuron"])
    found = shown.merge(neurons, on=["layer", "neuron"], suffixes=("", "_of_neuron"))
    np.testing.assert_allclose(found["cosine"], found["cosine_of_neuron"], atol=1e-5)
    expected = [*neurons["cosine"].nlargest(5), *neurons["cosine"].nsmallest(5)]
    np.testing.assert_allclose(sorted(shown["cosine"]), sorted(expected), atol=1e-5)
    weights = load_file(results / "checkpoints/toy/pre/model.safetensors")
    direction = load_file(results / "directions/toy/probe.safetensors")["direction"][0]
    normed = (direction - direction.mean()) * weights["transformer.ln_f.weight"]
    products = weights["lm_head.weight"] @ normed
    tokens = [*np.argsort(-products)[:8], *np.argsort(products)[:8]]
    assert lens["token_id"][lens["layer"].isna()].tolist() == tokens


def test_the_sources_are_all_that_was_used_with_checksums_of_it(results: Path) -> None:
    sources = pd.read_csv(results / "sources.csv", keep_default_na=False)
    columns = "what kind origin revision rows rows_left_out file sha256"
    assert " ".join(sources.columns) == columns
    files = [f"checkpoints/toy/{stage}" for stage in STAGES]
    assert set(sources["what"]) == {*(f"data/{name}" for name in DATASETS), *files}
    for row in sources[sources["sha256"] != ""].itertuples():
        path = results / (f"{row.what}/{row.file}" if row.file else f"{row.what}.jsonl")
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row.sha256
    for name in DATASETS:
        (row,) = sources[sources["what"] == f"data/{name}"].itertuples()
        assert (row.kind, int(row.rows)) == (
            "synthetic",
            len(rows_of(results / f"{row.what}.jsonl")),
        )
    for name, kind in zip(files, ("train_from_scratch", "dpo"), strict=True):
        rows = sources[sources["what"] == name]
        assert set(rows["kind"]) == {kind}
        listed = {path.name for path in (results / name).iterdir()} - {".snakemake_timestamp"}
        assert set(rows["file"]) == {"", *listed}


class Addresses(HTMLParser):
    """Finds what a page would fetch; the texts of its scripts are not tags."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [f"{tag} {value}" for name, value in attrs if name in ("src", "href")]


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figures_files_are_small_whole_and_need_no_network(results: Path, figure: str) -> None:
    stem = f"{results}/figures/toy/{figure}"
    specification = Path(f"{stem}.json").read_bytes()
    assert len(specification) < MAX_JSON_BYTES <= 2_000_000
    assert "vega-lite" in json.loads(specification)["$schema"]
    page = Path(f"{stem}.html").read_text(encoding="utf-8")
    assert "vegaEmbed" in page
    reader = Addresses()
    reader.feed(page)
    assert reader.found == []
    assert ElementTree.parse(f"{stem}.svg").getroot().tag.endswith("svg")
    picture = Path(f"{stem}.png").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert min(struct.unpack(">4sII", picture[12:24])[1:]) > 300
