"""The split of the stream's shift, compared with passes by hand on every architecture."""

import numpy as np
import pandas as pd
import pytest
import split_stream_shift
import torch
from safetensors.numpy import save_file
from support.by_hand import (
    continue_alone,
    forward,
    heads_by_algebra,
    mlp_of,
    output_projection_of,
    stack,
)
from support.captured_pair import N_TOKENS, capture_pair, run_main
from support.tiny_models import PROMPTS

from dpo_neurons.errors import InputError
from dpo_neurons.models.decoding import end_tokens


@pytest.fixture
def split(loaded, checkpoints, architecture, tokenizer, tmp_path, monkeypatch):
    """Run the program on the captures of an architecture's pair; return its three tables."""
    pre, post = loaded(architecture), loaded(architecture, "other")
    capture_pair(pre, post, tokenizer, tmp_path)
    vector = np.random.default_rng(4).normal(size=pre.config.hidden_size)
    direction = (vector / np.linalg.norm(vector)).astype(np.float32)
    save_file({"direction": direction[None]}, tmp_path / "direction.safetensors")
    paths = {name: tmp_path / f"{name}.csv" for name in ("parts", "layers", "totals")}
    arguments = {
        "--checkpoint-pre": checkpoints[architecture, "pre"],
        "--checkpoint-post": checkpoints[architecture, "other"],
        **{f"--activations-{name}": tmp_path / f"{name}.h5" for name in ("pre", "post", "crossed")},
        "--direction": tmp_path / "direction.safetensors",
        **{f"--{name}": path for name, path in paths.items()},
        "--heads": tmp_path / "heads.parquet",
        "--resamples": 50, "--level": 0.95, "--seed": 1,
    }  # fmt: skip
    run_main(split_stream_shift, monkeypatch, arguments)
    tables = {name: pd.read_csv(path) for name, path in paths.items()}
    return pre, post, direction.astype(float), tables, arguments


def texts_of(model, tokenizer):
    """Each prompt's ids, and the counted ones of what the model writes after it."""
    ends = set(end_tokens(model))
    texts = []
    for prompt in PROMPTS:
        ids, written = continue_alone(model, tokenizer, prompt, N_TOKENS)
        texts.append((ids, written[:-1] if written[-1] in ends else written))
    return texts


def parts_alone(model, texts, direction):
    """Means over all counted tokens: embedding, heads, neurons, biases, stream, along direction."""
    tokens = [
        parts_of_token(model, seen, place, torch.tensor(direction))
        for ids, written in texts
        for seen in [read_whole(model, ids + written)]
        for place in range(len(ids), len(ids) + len(written))
    ]
    return [np.mean(part, axis=0) for part in zip(*tokens, strict=True)]


def read_whole(model, ids):
    """One pass over a text: `forward`'s, and the stream before and after each block."""
    seen = {"before": [], "after": []}
    hooks = []
    for block in stack(model):
        hooks += [
            block.register_forward_pre_hook(lambda _, x: seen["before"].append(x[0][0].double())),
            block.register_forward_hook(
                lambda _, x, y: seen["after"].append((y if torch.is_tensor(y) else y[0])[0])
            ),
        ]
    seen |= forward(model, [ids])
    for hook in hooks:
        hook.remove()
    return seen


def parts_of_token(model, seen, place, direction):
    """The parts of one token."""
    heads, neurons, biases, stream = [], [], [], []
    for layer, z in enumerate(seen["z"]):
        heads.append((heads_by_algebra(model, layer, z[0, place].double()) @ direction).numpy())
        modules = output_projection_of(model, layer), mlp_of(model, layer).down
        both = [
            0.0 if one.bias is None else float(one.bias.detach().double() @ direction)
            for one in modules
        ]
        biases.append(sum(both))
        mlp = float(seen["written"][layer][0, place].double() @ direction)
        neurons.append(mlp - both[1])
        stream.append(float(seen["after"][layer][place].double() @ direction))
    return float(seen["before"][0][place] @ direction), heads, neurons, biases, stream


def of_text(table, name):
    """The rows of one text."""
    return table[table["text"] == name]


def test_each_part_is_what_it_writes_and_all_of_them_are_the_measured_shift(split, tokenizer):
    pre, post, direction, tables, _ = split
    text = texts_of(pre, tokenizer)
    before = parts_alone(pre, text, direction)
    for name, read in {"own": texts_of(post, tokenizer), "same": text}.items():
        after = parts_alone(post, read, direction)
        first, heads, neurons, biases, stream = (b - a for b, a in zip(before, after, strict=True))
        parts = of_text(tables["parts"], name).set_index("part")
        layers = of_text(tables["layers"], name).set_index("what")["reduction"]
        totals = of_text(tables["totals"], name).set_index("part")
        close = {"rtol": 1e-4, "atol": 2e-5}
        np.testing.assert_allclose(parts.loc[["embedding"], "reduction"], [first], **close)
        np.testing.assert_allclose(parts.loc["head", "reduction"], np.ravel(heads), **close)
        np.testing.assert_allclose(parts.loc["neurons", "reduction"], neurons, **close)
        both = parts.loc["attention_bias", "reduction"] + parts.loc["mlp_bias", "reduction"].values
        np.testing.assert_allclose(both, biases, **close)
        np.testing.assert_allclose(layers["stream"], stream, **close)
        added = first + np.cumsum(layers["attention"].values + layers["mlp"].values)
        np.testing.assert_allclose(added, stream, **close)
        assert np.abs(heads).max() > 0.01
        whole = totals.loc["all", "reduction"]
        np.testing.assert_allclose(totals["reduction"].sum() - whole, whole, **close)
        np.testing.assert_allclose(whole, stream[-1], **close)


@pytest.mark.parametrize("architecture", ["gpt2"])
def test_intervals_hold_the_values_and_shares_need_a_shift(split):
    tables = split[3]
    for table in tables.values():
        inside = table["reduction"].between(table["reduction_low"], table["reduction_high"])
        assert inside.mean() > 0.8
    for _, totals in tables["totals"].groupby("text"):
        whole = totals.set_index("part").loc["all"]
        if whole["reduction_low"] > 0 or whole["reduction_high"] < 0:
            np.testing.assert_allclose(totals["share"], totals["reduction"] / whole["reduction"])
        else:
            assert totals["share"].isna().all()


@pytest.mark.parametrize("architecture", ["gpt2"])
def test_a_cache_of_another_checkpoint_is_refused(split, checkpoints, monkeypatch):
    arguments = {**split[4], "--checkpoint-post": checkpoints["gpt2", "pre"]}
    with pytest.raises(InputError, match="do not add up to the residual stream"):
        run_main(split_stream_shift, monkeypatch, arguments)
