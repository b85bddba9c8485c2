"""The split of reductions by cause, by hand and on models with one changed part."""

import numpy as np
import pytest
import torch
from support.by_hand import mlp_of, stack
from support.tiny_models import PROMPTS

from dpo_neurons.activations.capture import ActivationCapture
from dpo_neurons.activations.crossed_capture import CrossedCapture
from dpo_neurons.models.generation import generate_greedily
from dpo_neurons.models.loading import load_model
from dpo_neurons.neurons.contributions import compute_contributions
from dpo_neurons.neurons.decomposition import SOURCES, split_reductions, sum_sources
from dpo_neurons.neurons.groups import GROUPS

N_TOKENS = 4
DIRECTION = np.random.default_rng(8).normal(size=16)
DIRECTION /= np.linalg.norm(DIRECTION)
SMALL = 2e-4
"""A change small enough to keep the generated tokens."""


def by_hand():
    """One layer, four neurons: value, key, inputs changed alone, then all three."""
    m_pre, m_crossed = np.array([[2.0, 2, 2, 2]]), np.array([[2.0, 3, 2, 3]])
    m_text, m_post = np.array([[2.0, 3, 4, 4]]), np.array([[2.0, 3, 5, 5]])
    a_pre, a_post = np.array([[10.0, 10, 10, 10]]), np.array([[7.0, 10, 10, 7]])
    table = compute_contributions(m_pre, m_post, a_pre, a_post, np.full((1, 4), 20.0), "v1")
    return table, split_reductions(table, a_pre, a_post, m_crossed, m_text)


def test_each_part_is_that_of_the_one_thing_that_changed():
    split = by_hand()[1]
    assert split["from_value"].tolist() == [6, 0, 0, 6]
    assert split["from_key"].tolist() == [0, -10, 0, -7]
    assert split["from_inputs"].tolist() == [0, 0, -30, -14]
    assert split["from_text"].tolist() == [0, 0, -10, -7]
    # The value vector's part if it is exchanged last: of five activations, not of two.
    assert split["from_value_last"].tolist() == [6, 0, 0, 15]
    assert split["reduction"].tolist() == [6, -10, -30, -15]


def test_sums_are_over_all_by_group_and_by_layer():
    table, split = by_hand()
    sums = sum_sources(split).set_index(["by", "part"])
    assert sums.loc[("all", "all"), "neurons"] == 4
    assert sums.loc[("all", "all"), "from_inputs"] == -44
    assert sums.loc[("layer", "0"), "from_value"] == 12
    # Under v1's definition the first is unchanged, because its activation is.
    assert sums.loc["group"].index.tolist() == [*GROUPS, "unchanged"]
    assert table["group"].tolist() == ["unchanged", "TP+", "TP+", "TP+"]
    assert sums.loc[("group", "TP+"), ["neurons", "from_text"]].tolist() == [3, -17]
    assert sums.loc[("group", "AN-"), ["neurons", "from_value"]].tolist() == [0, 0]


def test_layers_are_in_the_order_of_the_stack_and_groups_need_no_unchanged_row():
    n_layers, d_mlp = 12, 3
    random = np.random.default_rng(0)
    m_pre, m_post, a_pre, a_post, crossed, text = random.normal(size=(6, n_layers, d_mlp))
    table = compute_contributions(
        m_pre, m_post, a_pre, a_post, np.full((n_layers, d_mlp), 9.0), "v3"
    )
    split = split_reductions(table, a_pre, a_post, crossed, text)
    sums = sum_sources(split)
    layers = sums[sums["by"] == "layer"]
    assert layers["part"].tolist() == [str(layer) for layer in range(n_layers)]
    assert sums.loc[sums["by"] == "group", "part"].tolist() == list(GROUPS)
    for by in ("layer", "group"):
        whole = sums[sums["by"] == by][["reduction", *SOURCES]].sum()
        np.testing.assert_allclose(whole, sums.iloc[0][whole.index].astype(float))
    np.testing.assert_allclose(sums[list(SOURCES)].sum(axis=1), sums["reduction"], atol=1e-10)


def split_of(pre, post, tokenizer, same_text=True):
    """The split of two loaded models, the captures made as the programs make them."""
    means = {}
    for name, model in (("pre", pre), ("post", post)):
        with ActivationCapture(model, "generated") as capture:
            (batch,) = generate_greedily(model, tokenizer, PROMPTS, N_TOKENS, 16, capture)
            means[name] = mean_of(capture.sums["mlp_post"], batch)
            means[f"{name} tokens"] = batch.tokens
    with CrossedCapture(pre, post, "generated") as capture:
        (batch,) = generate_greedily(pre, tokenizer, PROMPTS, N_TOKENS, 16, capture)
        crossed = mean_of(capture.sums["mlp_post_crossed"], batch)
        text = mean_of(capture.sums["mlp_post_same_text"], batch)
    assert np.array_equal(means["pre tokens"], means["post tokens"]) == same_text
    along = [values_of(model) @ DIRECTION for model in (pre, post)]
    norms = np.linalg.norm(values_of(pre), axis=2)
    table = compute_contributions(means["pre"], means["post"], *along, norms, "v1")
    return table, split_reductions(table, *along, crossed, text)


def mean_of(sums, batch):
    return (sums.sum(dim=0, dtype=torch.float64) / batch.mask.sum()).numpy()


def values_of(model):
    layers = range(len(stack(model)))
    return np.stack([mlp_of(model, layer).values.detach().double().numpy() for layer in layers])


def change(parameters):
    """Add noise that is small relative to the weights."""
    random = torch.Generator().manual_seed(5)
    for parameter in parameters:
        noise = torch.randn(parameter.shape, generator=random)
        parameter.add_(SMALL * parameter.abs().max() * noise)


@pytest.fixture
def pair(checkpoints, architecture):
    """A model and a copy of it, to be changed."""
    return [load_model(checkpoints[architecture, "pre"], "float32", "cpu") for _ in range(2)]


def assert_sums_are_exact(split):
    whole = split[list(SOURCES)].sum(axis=1)
    assert np.abs(whole - split["reduction"]).max() < 1e-10


def test_nothing_changed_is_nothing_everywhere(pair, tokenizer):
    _, split = split_of(*pair, tokenizer)
    assert split["from_value"].abs().max() == 0
    assert split[["from_key", "from_inputs", "from_text"]].abs().max().max() < 2e-6
    assert_sums_are_exact(split)


def test_value_vectors_of_the_last_layer_change_its_values_alone(pair, tokenizer):
    pre, post = pair
    change([mlp_of(post, len(stack(post)) - 1).down.weight])
    table, split = split_of(pre, post, tokenizer)
    last = split["layer"] == split["layer"].max()
    assert split.loc[last, "from_value"].abs().max() > 2e-5
    assert split.loc[~last, "from_value"].abs().max() == 0
    np.testing.assert_allclose(split["from_value"], table["reduction"], atol=2e-6)
    assert split[["from_key", "from_inputs", "from_text"]].abs().max().max() < 2e-6
    assert_sums_are_exact(split)


def test_keys_change_no_values_and_no_inputs_of_the_first_layer(pair, tokenizer):
    pre, post = pair
    change([mlp_of(post, layer).reader.weight for layer in range(len(stack(post)))])
    table, split = split_of(pre, post, tokenizer)
    first = split["layer"] == 0
    assert split["from_value"].abs().max() == 0
    assert split.loc[first, "from_inputs"].abs().max() < 2e-6
    assert split.loc[first, "from_key"].abs().max() > 2e-5
    np.testing.assert_allclose(split.loc[first, "from_key"], table["reduction"][first], atol=2e-6)
    assert split.loc[~first, "from_inputs"].abs().max() > 1e-5
    assert split["from_text"].abs().max() < 2e-6
    assert_sums_are_exact(split)


def test_a_changed_norm_before_the_mlp_counts_to_the_inputs(checkpoints, tokenizer):
    pre, post = (load_model(checkpoints["llama", "pre"], "float32", "cpu") for _ in range(2))
    change([block.post_attention_layernorm.weight for block in stack(post)])
    _, split = split_of(pre, post, tokenizer)
    assert split["from_value"].abs().max() == 0
    assert split["from_key"].abs().max() < 2e-6
    assert split.loc[split["layer"] == 0, "from_inputs"].abs().max() > 1e-5


def test_the_up_projection_of_a_gated_mlp_counts_to_the_keys(checkpoints, tokenizer):
    pre, post = (load_model(checkpoints["llama", "pre"], "float32", "cpu") for _ in range(2))
    change([stack(post)[0].mlp.up_proj.weight])
    _, split = split_of(pre, post, tokenizer)
    first = split["layer"] == 0
    assert split.loc[first, "from_key"].abs().max() > 1e-5
    assert split.loc[~first, "from_key"].abs().max() < 2e-6
    assert split.loc[first, "from_inputs"].abs().max() < 2e-6


def test_the_part_from_other_text_differs_from_that_of_the_layers_below(
    loaded, architecture, tokenizer
):
    _, split = split_of(
        loaded(architecture), loaded(architecture, "other"), tokenizer, same_text=False
    )
    assert (split[[*SOURCES, "from_text"]].abs().max() > 1e-3).all()
    below = split["from_inputs"] - split["from_text"]
    assert below[split["layer"] > 0].abs().max() > 1e-3
    assert_sums_are_exact(split)
