"""The logit lens, against products with the head of the loaded model; and the program."""

import copy
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from support.by_hand import written_vectors
from support.byte_tokenizers import byte_level
from support.tiny_models import randomise, small_config
from support.workflow import program
from transformers import AutoModelForCausalLM

from dpo_neurons.directions.direction_files import write_direction
from dpo_neurons.directions.logit_lens import COLUMNS, collect_vectors, tabulate_tokens
from dpo_neurons.directions.token_texts import TokenTexts
from dpo_neurons.models.architectures import Layers
from dpo_neurons.models.loading import load_tokenizer
from dpo_neurons.models.unembedding import Unembedding

RANDOM = np.random.default_rng(7).normal(size=(2, 16))
DIRECTIONS = RANDOM / np.linalg.norm(RANDOM, axis=1, keepdims=True)


def values_of(model):
    """What each neuron of a loaded model writes, and the layer and neuron of each."""
    by_layer = [written_vectors(model, n).numpy() for n in range(len(Layers.of(model).blocks))]
    names = [(layer, neuron) for layer, of in enumerate(by_layer) for neuron in range(len(of))]
    return np.concatenate(by_layer), names


def through_final_norm(model, vector):
    """A vector as the model's own final norm passes it on, its division and its bias undone."""
    inner = getattr(model.base_model, "decoder", model.base_model)
    names = ("ln_f", "norm", "final_layernorm", "final_layer_norm")
    norm = next(getattr(inner, name) for name in names if hasattr(inner, name))
    centred = vector - vector.mean() if isinstance(norm, torch.nn.LayerNorm) else vector
    # Of a long vector, so that the norm's epsilon counts for nothing.
    stretched = torch.tensor(vector * 1000 / np.linalg.norm(vector))
    with torch.no_grad():
        normed = copy.deepcopy(norm).double()(stretched).numpy()
        normed -= copy.deepcopy(norm).double()(torch.zeros_like(stretched)).numpy()
    return normed * np.sqrt((centred**2).mean())


def table_of(checkpoint, directions, value_vectors, tokens, tokenizer=None, norm="final"):
    names, vectors = collect_vectors(checkpoint, directions, value_vectors, checkpoint)
    texts = TokenTexts(tokenizer or load_tokenizer(checkpoint))
    return tabulate_tokens(names, vectors, Unembedding(checkpoint), texts, tokens, norm)


def test_each_direction_is_followed_by_the_nearest_and_the_most_opposed(
    checkpoints, architecture, model, tmp_path
):
    names, vectors = collect_vectors(
        checkpoints[architecture, "pre"], DIRECTIONS, 4, tmp_path / "d"
    )
    values, neurons = values_of(model)
    assert len(names) == len(vectors) == 2 * (1 + 4 + 4)
    for row, direction in enumerate(DIRECTIONS):
        mine = names[names["direction"] == row + 1]
        rows = vectors[mine.index]
        np.testing.assert_array_equal(rows[0], direction)
        assert pd.isna(mine["layer"].iloc[0])
        assert mine["cosine"].iloc[0] == 1
        cosines = values @ direction / np.linalg.norm(values, axis=1)
        order = np.argsort(cosines)
        expected = [*order[::-1][:4], *order[:4]]
        actual = list(zip(mine["layer"][1:], mine["neuron"][1:], strict=True))
        assert actual == [neurons[place] for place in expected]
        np.testing.assert_allclose(mine["cosine"][1:], cosines[expected], rtol=1e-9)
        np.testing.assert_allclose(rows[1:], values[expected], rtol=1e-12)


def test_no_value_vector_is_on_both_sides(checkpoints, loaded, tmp_path):
    names, _ = collect_vectors(checkpoints["gpt2", "pre"], DIRECTIONS[:1], 1000, tmp_path / "d")
    neurons = names.iloc[1:]
    assert len(neurons) == len(values_of(loaded("gpt2"))[1])
    assert not neurons.duplicated(["layer", "neuron"]).any()
    half = int((neurons["cosine"] > 0).sum())
    assert neurons["cosine"][:half].is_monotonic_decreasing
    assert neurons["cosine"][half:].is_monotonic_increasing


def test_tokens_are_those_with_the_largest_products_on_both_sides(checkpoints, architecture, model):
    table = table_of(checkpoints[architecture, "pre"], DIRECTIONS, 3, 5)
    assert tuple(table.columns) == COLUMNS
    head = model.get_output_embeddings().weight.detach().double().numpy()
    values, neurons = values_of(model)
    words = load_tokenizer(checkpoints[architecture, "pre"])
    assert len(table) == 2 * (1 + 3 + 3) * 2 * 5
    for key, tokens in table.groupby(["direction", "layer", "neuron", "sign"], dropna=False):
        direction, layer, neuron, sign = key
        vector = (
            DIRECTIONS[direction - 1] if pd.isna(layer) else values[neurons.index((layer, neuron))]
        )
        products = head @ through_final_norm(model, vector) * (1 if sign == "+" else -1)
        best = np.argsort(-products)[:5]
        assert tokens["token_id"].tolist() == best.tolist()
        assert tokens["rank"].tolist() == [1, 2, 3, 4, 5]
        np.testing.assert_allclose(tokens["product"], products[best], atol=1e-5)
        assert tokens["token"].tolist() == [
            f"'{word}'" for word in words.convert_ids_to_tokens(best)
        ]


def test_a_planted_token_is_read_off_the_direction(checkpoints, architecture, model):
    head = model.get_output_embeddings().weight.detach().double().numpy()
    # What lies along one token's vector, and across all others'.
    direction = np.linalg.pinv(head[10:24])[:, 3]
    direction /= np.linalg.norm(direction)
    keep = [*range(10, 24)]
    table = table_of(checkpoints[architecture, "pre"], direction[None], 1, 40, norm="none")
    shown = table[table["layer"].isna() & table["token_id"].isin(keep)]
    assert shown[shown["sign"] == "+"]["token_id"].iloc[0] == 13
    assert shown[shown["sign"] == "-"]["token_id"].iloc[-1] == 13


@pytest.fixture(scope="module", params=["gemma2", "gpt2"])
def padded(request, tmp_path_factory):
    """A checkpoint with more token vectors than tokens, the surplus ones by far the longest."""
    path = tmp_path_factory.mktemp(f"padded_{request.param}")
    config = small_config(request.param)
    tokenizer = byte_level()
    config.vocab_size = len(tokenizer) + 30
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    randomise(model, 0.3)
    with torch.no_grad():
        model.get_output_embeddings().weight[len(tokenizer) :] *= 1000
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_ids_that_the_tokenizer_does_not_know_are_left_out(padded):
    tokenizer = load_tokenizer(padded)
    table = table_of(padded, DIRECTIONS, 2, 6)
    assert table["token_id"].max() < len(tokenizer)
    assert table.groupby(["direction", "layer", "neuron", "sign"], dropna=False).size().eq(6).all()


def test_tokens_without_a_vector_are_left_out(checkpoints):
    tokenizer = load_tokenizer(checkpoints["llama", "pre"])
    tokenizer.add_tokens(["beyond"])
    table = table_of(checkpoints["llama", "pre"], DIRECTIONS, 2, 100, tokenizer)
    assert set(table["token_id"]) == set(range(40))


def tabulate(checkpoint, direction, output, title):
    return program(
        "tabulate_logit_lens",
        f"--checkpoint {checkpoint} --direction {direction} --value-vectors 2 --tokens 3"
        f" --norm final --title '{title}' --threads 1 --csv {output}/a.csv --markdown {output}/a.md"
        f" --page {output}/a.html",
    )


@pytest.mark.slow
def test_the_program_writes_the_table_in_three_forms(padded, tmp_path):
    write_direction(tmp_path / "d.safetensors", DIRECTIONS, {"kind": "svd"})
    result = tabulate(padded, tmp_path / "d.safetensors", tmp_path / "out", "Toy & co")
    assert result.returncode == 0, result.stdout
    table = pd.read_csv(tmp_path / "out/a.csv", dtype={"layer": "Int64", "neuron": "Int64"})
    expected = table_of(padded, DIRECTIONS.astype(np.float32).astype(float), 2, 3)
    assert tuple(table.columns) == COLUMNS
    assert table["token"].tolist() == expected["token"].tolist()
    assert table["neuron"].astype(object).tolist() == expected["neuron"].astype(object).tolist()
    assert len((tmp_path / "out/a.md").read_text(encoding="utf-8").splitlines()) == 2 + 2 * 5
    page = (tmp_path / "out/a.html").read_text(encoding="utf-8")
    assert "<h1>Toy &amp; co</h1>" in page
    assert "direction 2" in page


@pytest.mark.slow
def test_a_direction_of_another_model_is_refused(checkpoints, tmp_path):
    shutil.copytree(checkpoints["gpt2", "pre"], tmp_path / "m")
    write_direction(tmp_path / "d.safetensors", np.ones(8), {"kind": "file"})
    result = tabulate(tmp_path / "m", tmp_path / "d.safetensors", tmp_path / "out", "Toy")
    last = result.stdout.splitlines()[-1]
    assert last.startswith(f"Error: {tmp_path}/d.safetensors: the direction is 8 wide")
    assert not (tmp_path / "out").exists()
