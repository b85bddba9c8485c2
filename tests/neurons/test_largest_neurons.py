"""Tokens, activations and prompts of the largest neurons, compared with the models themselves."""

import h5py
import numpy as np
import pandas as pd
import pytest
import tabulate_largest_neurons
from support.by_hand import written_vectors
from support.captured_pair import capture_pair, run_main

from dpo_neurons.directions.token_texts import TokenTexts
from dpo_neurons.files.tables import read_table, write_table
from dpo_neurons.models import unembedding
from dpo_neurons.models.loading import load_tokenizer
from dpo_neurons.neurons import contributions, largest_neurons
from dpo_neurons.neurons.largest_neurons import COLUMNS, choose_largest


def test_the_largest_of_either_sign_have_their_place_in_their_group(monkeypatch):
    monkeypatch.setattr(largest_neurons, "NEURONS", 2)
    table = pd.DataFrame(
        {
            "neuron": range(6),
            "group": ["TP-", "AN-", "TP-", "TP+", "TP+", "AN-"],
            "reduction": [1.0, 3.0, 2.0, -1.0, -4.0, 0.5],
            "rank": [3, 1, 2, 5, 6, 4],
        }
    )
    chosen = choose_largest(table)
    assert chosen["neuron"].tolist() == [1, 2, 3, 4]
    assert chosen["group_rank"].tolist() == [1, 1, 2, 1]
    assert chosen["group_neurons"].tolist() == [2, 2, 2, 2]
    assert len(choose_largest(table.head(3))) == 3


@pytest.fixture
def tabulated(loaded, checkpoints, tokenizer, tmp_path, monkeypatch):
    """Run the program on the captures of a pair; return its table and the folder."""
    capture_pair(loaded("gpt2"), loaded("gpt2", "other"), tokenizer, tmp_path)
    with h5py.File(tmp_path / "pre.h5") as cache:
        _, n_layers, d_mlp = cache["mlp_post"].shape
    n = n_layers * d_mlp
    neurons = pd.DataFrame(0.0, index=range(n), columns=list(contributions.COLUMNS))
    neurons["layer"], neurons["neuron"] = np.divmod(np.arange(n), d_mlp)
    neurons["reduction"] = np.linspace(1, -1, n)
    write_table(tmp_path / "neurons.parquet", neurons.assign(rank=range(1, n + 1), group="TP-"))
    monkeypatch.setattr(unembedding, "BLOCK_ROWS", 7)
    monkeypatch.setattr(largest_neurons, "CHANGED_PROMPTS", 2)
    arguments = {
        "--checkpoint": checkpoints["gpt2", "pre"],
        "--contributions": tmp_path / "neurons.parquet",
        **{f"--activations-{stage}": tmp_path / f"{stage}.h5" for stage in ("pre", "post")},
        "--tokens": 3, "--norm": "none", "--threads": 1, "--output": tmp_path / "out.parquet",
    }  # fmt: skip
    # A process may set its threads once, and this one runs other tests.
    monkeypatch.setattr(tabulate_largest_neurons, "obey_threads", lambda threads: None)
    run_main(tabulate_largest_neurons, monkeypatch, arguments)
    return read_table(tmp_path / "out.parquet", COLUMNS, "needs"), tmp_path


def test_tokens_are_those_with_the_largest_products_with_the_models_head(
    tabulated, loaded, checkpoints
):
    table, _ = tabulated
    model, texts = loaded("gpt2"), TokenTexts(load_tokenizer(checkpoints["gpt2", "pre"]))
    head = model.get_output_embeddings().weight.detach().numpy()[texts.ids()]
    for row in table.itertuples():
        products = head @ written_vectors(model, row.layer).numpy()[row.neuron]
        ids = np.array(texts.ids())[np.argsort(products)]
        assert list(row.promoted) == [texts.quote(token) for token in ids[:-4:-1].tolist()]
        assert list(row.suppressed) == [texts.quote(token) for token in ids[:3].tolist()]


def test_activations_are_the_caches_and_the_prompts_those_that_changed_most(tabulated):
    table, folder = tabulated
    before, after = (h5py.File(folder / f"{stage}.h5") for stage in ("pre", "post"))
    counted = before["mask"][:].any(axis=1) & after["mask"][:].any(axis=1)
    for row in table.itertuples():
        of_pre, of_post = (
            cache["mlp_post"][:, row.layer, row.neuron].astype("f4") for cache in (before, after)
        )
        prompts = row.sampled_prompts
        assert prompts.tolist() == np.flatnonzero(counted).tolist()
        assert np.array_equal(row.sampled_pre, of_pre[prompts])
        assert np.array_equal(row.sampled_post, of_post[prompts])
        changes = np.where(counted, np.abs(of_post - of_pre), -1)
        assert np.array_equal(changes[row.changed_prompts], np.sort(changes)[:-3:-1])
        assert np.array_equal(row.changed_post, of_post[row.changed_prompts])
