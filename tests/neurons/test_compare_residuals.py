"""The program that compares residual streams and value vectors, on a planted change."""

import compare_residuals
import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from support.by_hand import mlp_of, stack
from support.captured_pair import capture_pair, run_main
from support.tiny_models import PROMPTS

from dpo_neurons.directions.direction_files import write_direction
from dpo_neurons.errors import InputError
from dpo_neurons.models.loading import load_model

PLANTED = np.random.default_rng(6).normal(size=16)


@pytest.fixture(params=["gpt2", "opt"])
def changed(request, checkpoints, tokenizer, tmp_path):
    """Arguments, and the model: a small vector is added to the last layer's output."""
    pre, post = (load_model(checkpoints[request.param, "pre"], "float32", "cpu") for _ in range(2))
    last = mlp_of(post, len(stack(post)) - 1)
    last.down.bias.add_(torch.tensor(1e-3 * PLANTED, dtype=torch.float32))
    # The value vectors of three neurons change against it, by far less.
    last.values[[2, 5, 7]] -= torch.tensor(1e-5 * PLANTED, dtype=torch.float32)
    post.save_pretrained(tmp_path / "changed")
    capture_pair(pre, post, tokenizer, tmp_path)
    write_direction(tmp_path / "d.safetensors", -PLANTED, {"kind": "file"})
    arguments = {
        "--checkpoint-pre": checkpoints[request.param, "pre"],
        "--checkpoint-post": tmp_path / "changed",
        "--activations-pre": tmp_path / "pre.h5",
        "--activations-post": tmp_path / "post.h5",
        "--direction": tmp_path / "d.safetensors",
        "--output": tmp_path / "layers.csv",
        "--prompts-output": tmp_path / "prompts.csv",
        "--changes-output": tmp_path / "changes.csv",
    }
    return arguments, len(stack(post))


def test_a_planted_shift_is_found_in_its_layer_alone(changed, tmp_path, monkeypatch):
    arguments, n_layers = changed
    run_main(compare_residuals, monkeypatch, arguments)
    layers = pd.read_csv(tmp_path / "layers.csv").set_index("layer")
    assert layers.index.tolist() == list(range(n_layers))
    assert (layers["prompts"] == len(PROMPTS)).all()
    assert layers["shift"].iloc[:-1].abs().max() < 1e-5
    last = layers.iloc[-1]
    assert last["shift"] == pytest.approx(1e-3 * np.linalg.norm(PLANTED), rel=0.05)
    assert last["shared"] == pytest.approx(1, abs=1e-3)
    assert last["shift_component_cosine"] == pytest.approx(1, abs=1e-3)
    assert last["direction_cosine"] == pytest.approx(-1, abs=1e-3)
    with h5py.File(tmp_path / "pre.h5") as file:
        size = np.sqrt((file["resid_post"][:, -1].astype(float) ** 2).sum(axis=1).mean())
    assert last["relative_shift"] == pytest.approx(last["shift"] / size)


def test_prompts_move_along_the_shift_and_not_beside_it(changed, tmp_path, monkeypatch):
    arguments, n_layers = changed
    run_main(compare_residuals, monkeypatch, arguments)
    prompts = pd.read_csv(tmp_path / "prompts.csv")
    assert sorted(prompts["layer"].unique()) == list(range(n_layers))
    last = prompts[prompts["layer"] == n_layers - 1].pivot(index="prompt", columns="stage")
    assert last.index.tolist() == list(range(len(PROMPTS)))
    moved = last["along_shift", "post"] - last["along_shift", "pre"]
    np.testing.assert_allclose(moved, 1e-3 * np.linalg.norm(PLANTED), rtol=0.05)
    beside = last["beside_shift", "post"] - last["beside_shift", "pre"]
    assert beside.abs().max() < 0.05 * moved.min()
    with h5py.File(tmp_path / "pre.h5") as file:
        along = file["resid_post"][:, -1] @ PLANTED / np.linalg.norm(PLANTED)
    np.testing.assert_allclose(last["along_shift", "pre"], along, atol=0.02)


def test_prompts_have_the_activation_of_the_neuron_nearest_to_the_direction(
    changed, tmp_path, monkeypatch
):
    arguments, n_layers = changed
    run_main(compare_residuals, monkeypatch, arguments)
    model = load_model(arguments["--checkpoint-pre"], "float32", "cpu")
    prompts = pd.read_csv(tmp_path / "prompts.csv")
    for stage in ("pre", "post"):
        with h5py.File(tmp_path / f"{stage}.h5") as file:
            mlp_post = file["mlp_post"][:]
        for layer in range(n_layers):
            values = mlp_of(model, layer).values.double().numpy()
            cosines = values @ -PLANTED / np.linalg.norm(values, axis=1)
            rows = prompts[(prompts["layer"] == layer) & (prompts["stage"] == stage)]
            assert set(rows["neuron"]) == {cosines.argmax()}
            np.testing.assert_allclose(rows["mlp_post"], mlp_post[:, layer, cosines.argmax()])


def test_changed_value_vectors_are_counted_where_they_changed(changed, tmp_path, monkeypatch):
    arguments, n_layers = changed
    run_main(compare_residuals, monkeypatch, arguments)
    changes = pd.read_csv(tmp_path / "changes.csv")
    assert set(changes["layer"]) == set(changes["shift_layer"]) == {n_layers - 1}
    assert changes["neurons"].sum() == 3
    assert changes["cosine_high"].max() <= -0.98
    with h5py.File(tmp_path / "post.h5") as file:
        activation = file["mlp_post_mean"][-1][[2, 5, 7]]
    signs = {-1: "negative", 0: "zero", 1: "positive"}
    for sign, name in signs.items():
        assert changes["neurons"][changes["activation"] == name].sum() == sum(
            np.sign(activation) == sign
        )
    # Each writes −1e-5 of the planted vector, of whose 1e-3 the shift is made.
    assert changes["written"].sum() == pytest.approx(-0.01 * activation.sum(), rel=0.05)


def test_caches_of_other_prompts_are_refused(changed, tmp_path, monkeypatch):
    with h5py.File(tmp_path / "post.h5", "a") as file:
        residual = file["resid_post"][:3]
        del file["resid_post"]
        file["resid_post"] = residual
    with pytest.raises(InputError, match=r"post\.h5: resid_post of shapes .*capture both again"):
        run_main(compare_residuals, monkeypatch, changed[0])


def test_prompts_that_one_model_ended_at_once_are_left_out(changed, tmp_path, monkeypatch):
    with h5py.File(tmp_path / "pre.h5", "a") as file:
        file["mask"][1] = False
        file["resid_post"][1] = 1e9
    run_main(compare_residuals, monkeypatch, changed[0])
    layers, prompts = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("layers", "prompts"))
    assert (layers["prompts"] == len(PROMPTS) - 1).all()
    assert set(prompts["prompt"]) == {0, 2, 3, 4}
    assert layers["shift"].max() < 1
    with h5py.File(tmp_path / "post.h5", "a") as file:
        file["mask"][:] = False
    with pytest.raises(InputError, match="no prompt was continued by both models"):
        run_main(compare_residuals, monkeypatch, changed[0])


def test_a_direction_of_another_width_is_refused(changed, tmp_path, monkeypatch):
    write_direction(tmp_path / "d.safetensors", np.ones(9), {"kind": "file"})
    with pytest.raises(InputError, match="direction is 9 wide"):
        run_main(compare_residuals, monkeypatch, changed[0])
    assert not (tmp_path / "layers.csv").exists()
