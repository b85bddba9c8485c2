"""The split of a shift by an autoencoder's features, compared with passes by hand."""

import json

import average_features
import numpy as np
import pandas as pd
import pytest
import split_by_features
import torch
from safetensors.numpy import save_file
from support.by_hand import continue_alone, forward, stack, written_vectors
from support.captured_pair import N_TOKENS, capture_pair, run_main
from support.saved_autoencoders import save_autoencoder
from support.tiny_models import PROMPTS

from dpo_neurons.activations.feature_means import check_fit
from dpo_neurons.activations.sparse_autoencoders import read_autoencoder
from dpo_neurons.checkpoints.pair import examine_pair, format_pair
from dpo_neurons.directions.token_texts import TokenTexts
from dpo_neurons.errors import InputError
from dpo_neurons.models.decoding import end_tokens

D_SAE = 130
WIDTH = 16


@pytest.fixture
def reading(loaded, checkpoints, architecture, tokenizer, tmp_path):
    """Captures of a pair, an autoencoder of its second block's stream, and program arguments."""
    pre, post = loaded(architecture), loaded(architecture, "other")
    capture_pair(pre, post, tokenizer, tmp_path)
    weights = save_autoencoder(tmp_path / "sae", WIDTH, D_SAE)
    direction = np.random.default_rng(4).normal(size=WIDTH)
    direction /= np.linalg.norm(direction)
    save_file({"direction": direction[None].astype("f4")}, tmp_path / "direction.safetensors")
    rows = [json.dumps({"prompt": prompt}) for prompt in PROMPTS]
    (tmp_path / "prompts.jsonl").write_text("\n".join(rows) + "\n")
    return pre, post, weights, direction


def states_alone(reader, writer, tokenizer):
    """What the reader's second block leaves at each counted token of the writer's texts."""
    states, ends = [], set(end_tokens(writer))
    for prompt in PROMPTS:
        ids, written = continue_alone(writer, tokenizer, prompt, N_TOKENS)
        written = written[:-1] if written[-1] in ends else written
        seen = []
        hook = stack(reader)[1].register_forward_hook(
            lambda _, x, y, seen=seen: seen.append((y if torch.is_tensor(y) else y[0])[0])
        )
        forward(reader, [ids + written])
        hook.remove()
        states += [seen[0][place] for place in range(len(ids), len(ids) + len(written))]
    return torch.stack(states).double().numpy()


@pytest.mark.parametrize("architecture", ["gpt2", "gemma2", "opt"])
@torch.no_grad()
def test_parts_are_those_by_hand_and_add_up_to_the_measured_shift(
    reading, checkpoints, architecture, tokenizer, tmp_path, monkeypatch
):
    pre, post, weights, direction = reading
    checkpoint = checkpoints[architecture, "pre"]
    pair = examine_pair(checkpoint, checkpoints[architecture, "other"])
    (tmp_path / "pair.json").write_text(format_pair(pair), encoding="utf-8")
    for program in (average_features, split_by_features):
        monkeypatch.setattr(program, "obey_threads", lambda threads: None)
    run_main(average_features, monkeypatch, {
        "--checkpoint-pre": checkpoint, "--checkpoint-post": checkpoints[architecture, "other"],
        **{f"--activations-{name}": tmp_path / f"{name}.h5" for name in ("pre", "post")},
        "--autoencoder": tmp_path / "sae", "--prompts": tmp_path / "prompts.jsonl",
        "--pair": tmp_path / "pair.json", "--tokenizer": checkpoints["gpt2", "pre"],
        "--dtype": "float32", "--attention": "default", "--gpus": 1, "--batch-size": 2,
        "--device": "cpu", "--threads": 1, "--output": tmp_path / "features.h5",
    })  # fmt: skip
    run_main(split_by_features, monkeypatch, {
        "--checkpoint": checkpoint, "--autoencoder": tmp_path / "sae",
        "--features": tmp_path / "features.h5", "--direction": tmp_path / "direction.safetensors",
        "--tokens": 3, "--norm": "none", "--threads": 1, "--resamples": 50, "--level": 0.9,
        "--seed": 1, "--output": tmp_path / "out.csv",
    })  # fmt: skip
    table = pd.read_csv(tmp_path / "out.csv")
    before = states_alone(pre, pre, tokenizer)

    def features(states):
        return np.maximum(states @ weights["W_enc"] + weights["b_enc"], 0)

    for text, writer in (("own", post), ("same", pre)):
        after = states_alone(post, writer, tokenizer)
        rows = table[table["text"] == text].set_index("part")
        change = features(before).mean(0) - features(after).mean(0)
        reductions = change * (weights["W_dec"] @ direction)
        listed = rows.loc["feature"]
        close = {"rtol": 1e-3, "atol": 1e-4}
        order = np.argsort(-np.abs(reductions))[:100]
        assert set(listed["feature"]) == set(order)
        expected = reductions[listed["feature"].astype(int)]
        np.testing.assert_allclose(listed["reduction"], expected, **close)
        whole = (before.mean(0) - after.mean(0)) @ direction
        np.testing.assert_allclose(rows.loc["all", "reduction"], whole, **close)
        others = reductions.sum() - expected.sum()
        np.testing.assert_allclose(rows.loc["other features", "reduction"], others, **close)
        np.testing.assert_allclose(rows["reduction"].sum(), 2 * whole, **close)
        first = listed.iloc[0]
        row = weights["W_dec"][int(first["feature"])].astype(float)
        shift = after.mean(0) - before.mean(0)
        cosine = row @ shift / np.linalg.norm(row) / np.linalg.norm(shift)
        assert first["shift_cosine"] == pytest.approx(cosine, abs=1e-3)
        written = written_vectors(pre, int(first["value_layer"])).numpy()
        vector = written[int(first["value_neuron"])]
        cosine = vector @ row / np.linalg.norm(vector) / np.linalg.norm(row)
        assert first["value_cosine"] == pytest.approx(cosine, abs=1e-5)
        best = int(np.argmax(pre.get_output_embeddings().weight.numpy() @ row))
        assert first["promoted"].split(" ")[0] == TokenTexts(tokenizer).quote(best)


def test_an_autoencoder_of_another_model_is_refused(loaded, tmp_path):
    save_autoencoder(tmp_path / "wide", 17, 4)
    save_autoencoder(tmp_path / "deep", WIDTH, 4, metadata={"hook_name": "blocks.2.hook_mlp_out"})
    for name in ("wide", "deep"):
        with pytest.raises(InputError, match="give one made for this model"):
            check_fit(read_autoencoder(tmp_path / name), loaded("gpt2"), tmp_path / name)
