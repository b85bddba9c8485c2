"""Changes of matrices, against numpy's own decomposition and matrices made by hand."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from dpo_neurons.errors import InputError
from dpo_neurons.neurons.weight_changes import (
    COLUMNS,
    describe_change,
    mean_cosine_by_chance,
    tabulate_weight_changes,
)

random = np.random.default_rng(0)
NONE = ("effective_rank", "share_1", "share_10", "cosine")


def unit(width):
    vector = random.normal(size=width)
    return vector / np.linalg.norm(vector)


def rotated(squares, shape):
    """A matrix with these squared singular values, and its first left and right vectors."""
    left, right = (np.linalg.qr(random.normal(size=(size, size)))[0] for size in shape)
    k = len(squares)
    return (left[:, :k] * np.sqrt(squares)) @ right[:, :k].T, left[:, 0], right[:, 0]


@pytest.mark.parametrize("shape", [(12, 30), (30, 12), (14, 14)])
def test_rank_and_shares_of_known_singular_values(shape):
    change, left, right = rotated([4.0, 2.0, 1.0, 1.0], shape)
    entropy = -sum(p * np.log(p) for p in (0.5, 0.25, 0.125, 0.125))
    for axis, vector in ((0, left), (1, right)):
        direction = unit(shape[axis])
        described = describe_change(change, axis, direction)
        assert described == pytest.approx(
            {"change": np.sqrt(8), "effective_rank": np.exp(entropy), "share_1": 0.5,
             "share_10": 1.0, "cosine": abs(vector @ direction)}
        )  # fmt: skip
    assert np.isnan(describe_change(change, None, direction)["cosine"])


def test_equal_singular_values_have_their_number_as_effective_rank():
    change = rotated([3.0] * 12, (12, 20))[0]
    described = describe_change(change, 0, unit(12))
    assert described["effective_rank"] == pytest.approx(12)
    assert described["share_10"] == pytest.approx(10 / 12)


def test_a_matrix_that_did_not_change_has_no_rank():
    described = describe_change(np.zeros((3, 4)), 0, unit(3))
    assert described["change"] == 0
    assert all(np.isnan(described[column]) for column in NONE)


@pytest.mark.parametrize("width", [2, 16, 768])
def test_the_cosine_of_chance_is_the_mean_over_random_vectors(width):
    vectors = random.normal(size=(20_000, width))
    cosines = np.abs(vectors[:, 0]) / np.linalg.norm(vectors, axis=1)
    assert mean_cosine_by_chance(width) == pytest.approx(cosines.mean(), rel=0.03)


READS_OR_WRITES = {
    # Where the stream lies: GPT-2 stores its matrices the other way round.
    "gpt2": {"attn.c_attn": 0, "attn.c_proj": 1, "mlp.c_fc": 0, "mlp.c_proj": 1, "wte": 1},
    "llama": {
        "self_attn.q_proj": 1, "self_attn.k_proj": 1, "self_attn.o_proj": 0, "mlp.gate_proj": 1,
        "mlp.up_proj": 1, "mlp.down_proj": 0, "embed_tokens": 1, "lm_head": 1,
    },
    "gpt_neox": {"attention.query_key_value": 1, "attention.dense": 0, "mlp.dense_4h_to_h": 0},
    "opt": {"self_attn.out_proj": 0, "self_attn.q_proj": 1, "fc1": 1, "fc2": 0, "embed_tokens": 1},
}  # fmt: skip


@pytest.mark.parametrize("architecture", READS_OR_WRITES)
def test_the_side_in_the_stream_is_compared_with_the_direction(checkpoints, architecture):
    pre, post = (checkpoints[architecture, stage] for stage in ("pre", "post"))
    direction = unit(16)
    table = tabulate_weight_changes(pre, post, direction, pre)
    assert list(table) == list(COLUMNS)
    tensors = [load_file(path / "model.safetensors") for path in (pre, post)]
    for matrix, axis in READS_OR_WRITES[architecture].items():
        row = table[table["matrix"] == matrix].iloc[-1]
        (name,) = (name for name in tensors[0] if f".{matrix}.weight" in f".{name}"
                   and (row["layer"] < 0 or f".{row['layer']}." in name))  # fmt: skip
        before, after = (tensor[name].astype(np.float64) for tensor in tensors)
        left, sizes, right = np.linalg.svd(after - before)
        vector = left[:, 0] if axis == 0 else right[0]
        assert row["cosine"] == pytest.approx(abs(vector @ direction), abs=1e-9), matrix
        assert row["norm"] == pytest.approx(np.linalg.norm(before))
        both = before.ravel() @ after.ravel() / np.linalg.norm(before) / np.linalg.norm(after)
        assert row["similarity"] == pytest.approx(both, abs=1e-12)
        assert row["change"] == pytest.approx(np.sqrt((sizes**2).sum()))
        assert row["share_1"] == pytest.approx(sizes[0] ** 2 / (sizes**2).sum())


@pytest.mark.every_architecture
def test_every_matrix_has_a_row(checkpoints, loaded, architecture):
    pre, post = (checkpoints[architecture, stage] for stage in ("pre", "post"))
    table = tabulate_weight_changes(pre, post, unit(16), pre)
    matrices = [p for p in loaded(architecture).parameters() if p.ndim == 2]
    assert len(table) == len(matrices)
    assert sorted(zip(table["rows"], table["columns"], strict=True)) == sorted(
        tuple(matrix.shape) for matrix in matrices
    )
    assert set(table["part"]) == {"keys", "values", "attention", "embedding"}
    assert table["cosine"].between(0, 1).all()
    assert (table["layer"] == -1).equals(table["part"] == "embedding")


def test_a_bare_models_names_are_the_same_matrices(checkpoints, tmp_path):
    pre, post = (checkpoints["gpt2", stage] for stage in ("pre", "post"))
    bare = {name.partition(".")[2]: tensor
            for name, tensor in load_file(post / "model.safetensors").items()}  # fmt: skip
    save_file(bare, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((post / "config.json").read_text())
    direction = unit(16)
    table = tabulate_weight_changes(pre, tmp_path, direction, pre)
    assert table.equals(tabulate_weight_changes(pre, post, direction, pre))


def test_a_direction_of_another_model_and_matrices_of_two_shapes_are_named(checkpoints, tmp_path):
    pre, post = (checkpoints["llama", stage] for stage in ("pre", "post"))
    with pytest.raises(InputError, match="the direction is 15 wide"):
        tabulate_weight_changes(pre, post, unit(15), pre)
    tensors = load_file(post / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    save_file(tensors | {name: tensors[name][:, :-1].copy()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(InputError, match=rf"{name} has the shape \(24, 15\), and \(24, 16\)"):
        tabulate_weight_changes(pre, tmp_path, unit(16), pre)
