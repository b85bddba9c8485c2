"""Components of value vectors: planted subspaces, NumPy's own values, signs; and the program."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support.workflow import program

from dpo_neurons.directions.direction_files import read_direction, write_direction
from dpo_neurons.directions.subspaces import leading_components
from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import ARCHITECTURES, Layers

RANDOM = np.random.default_rng(11)


def orthonormal(count, width):
    return np.linalg.qr(RANDOM.normal(size=(width, count)))[0].T


def test_components_are_eigenvectors_of_the_normalised_vectors_squares():
    vectors = RANDOM.normal(size=(30, 8)) * RANDOM.uniform(0.1, 9, size=(30, 1)) + 0.4
    actual = leading_components(vectors, 8, np.eye(8)[0])
    unit = vectors / np.sqrt((vectors**2).sum(axis=1))[:, None]
    values, eigenvectors = np.linalg.eigh(unit.T @ unit)
    np.testing.assert_allclose(actual.singular_values**2, values[::-1])
    np.testing.assert_allclose(np.abs(actual.rows), np.abs(eigenvectors.T[::-1]), atol=1e-9)
    assert actual.shares.sum() == pytest.approx(1)
    for row, share in zip(actual.rows, actual.shares, strict=True):
        assert share == pytest.approx(np.mean((unit @ row) ** 2))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_planted_subspace_is_recovered_whatever_the_lengths(count):
    planted = orthonormal(count, 24)
    weights = RANDOM.normal(size=(50, count)) * 10.0 ** RANDOM.integers(-6, 6, size=(50, 1))
    actual = leading_components(weights @ planted, count, planted[0])
    np.testing.assert_allclose(actual.rows.T @ actual.rows, planted.T @ planted, atol=1e-9)
    assert actual.shares.sum() == pytest.approx(1)
    with pytest.raises(InputError, match=f"50 value vectors span {count} dimensions"):
        leading_components(weights @ planted, count + 1, planted[0])


def test_components_point_to_the_side_of_the_direction():
    vectors = RANDOM.normal(size=(20, 6))
    for along in (*np.eye(6), *-np.eye(6), np.ones(6) / 6**0.5):
        rows = leading_components(vectors, 6, along).rows
        assert (rows @ along > 0).all()


def test_a_component_across_the_direction_points_to_the_side_of_the_mean():
    # Both lie in the plane of axes 1 and 2, the direction is axis 0.
    for side in (1.0, -1.0):
        vectors = np.array([[0.0, side, 0.2], [0.0, side, -0.2]])
        rows = leading_components(vectors, 2, np.eye(3)[0]).rows
        np.testing.assert_allclose(rows[0], [0, side, 0], atol=1e-9)
        # The second is also orthogonal to the mean, so its largest entry is positive.
        np.testing.assert_allclose(rows[1], [0, 0, 1], atol=1e-9)


def plant(checkpoints, architecture, path, direction, planted):
    """A copy of a checkpoint: neurons 2 and 5 of each layer write in the planted plane, along."""
    source = checkpoints[architecture, "pre"]
    tensors = load_file(source / "model.safetensors")
    rows = ARCHITECTURES[architecture].neurons_in_rows
    layer = 0
    while (name := f"{ARCHITECTURES[architecture].down_projection_of(layer)}.weight") in tensors:
        values = (tensors[name] if rows else tensors[name].T).clone()
        norm = tensors.get(f"model.layers.{layer}.post_feedforward_layernorm.weight")
        gain = 1 if norm is None else 1 + norm.double().numpy()  # Gemma's
        for neuron, along in ((2, 1.0), (5, 0.8)):
            vector = along * planted[0] + (0.3 + layer) * (neuron - 3) * 0.05 * planted[1]
            values[neuron] = values.new_tensor(vector / gain)
        tensors[name] = (values if rows else values.T).contiguous()
        layer += 1
    path.mkdir()
    (path / "config.json").write_text((source / "config.json").read_text())
    save_file(tensors, path / "model.safetensors")
    write_direction(path / "probe.safetensors", direction, {"kind": "probe"})
    return layer


def compute(checkpoint, direction, output, neurons, components):
    return program(
        "compute_svd_direction",
        f"--checkpoint {checkpoint} --direction {direction} --neurons {neurons}"
        f" --components {components} --threads 1 --output {output}",
    )


@pytest.mark.parametrize("architecture", ["gpt2", "opt", "gemma2"])
def test_the_program_finds_a_planted_plane_in_a_model(checkpoints, architecture, tmp_path):
    planted = orthonormal(2, 16)
    layers = plant(checkpoints, architecture, tmp_path / "m", planted[:1], planted)
    output = tmp_path / "svd.safetensors"
    probe = tmp_path / "m" / "probe.safetensors"
    result = compute(tmp_path / "m", probe, output, 2 * layers, 2)
    assert result.returncode == 0, result.stdout
    rows = read_direction(output)
    np.testing.assert_allclose(rows.T @ rows, planted.T @ planted, atol=1e-5)
    assert rows[0] @ planted[0] > 0.9
    with safe_open(output, framework="np") as tensors:
        how = tensors.metadata()
    assert (how["kind"], how["from"], how["neurons"]) == ("svd", "probe", str(2 * layers))
    actual = {tuple(pair) for pair in json.loads(how["layers_and_neurons"])}
    assert actual == {(layer, neuron) for layer in range(layers) for neuron in (2, 5)}
    assert sum(json.loads(how["shares"])) == pytest.approx(1, abs=1e-5)
    assert float(how["smallest_cosine"]) > 0.9


def test_the_program_agrees_with_numpy_on_all_value_vectors(checkpoints, loaded, tmp_path):
    model = loaded("phi3")
    layers = Layers.of(model)
    values = np.concatenate(
        [layers.value_vectors(layer).double().numpy() for layer in range(len(layers.blocks))]
    )
    unit = values / np.linalg.norm(values, axis=1, keepdims=True)
    direction = np.ones(16) / 4
    write_direction(tmp_path / "probe.safetensors", direction, {"kind": "probe"})
    output = tmp_path / "svd.safetensors"
    compute(checkpoints["phi3", "pre"], tmp_path / "probe.safetensors", output, 20, 3)
    nearest = unit[np.argsort(-(unit @ direction))[:20]]
    _, singular_values, rows = np.linalg.svd(nearest)
    rows = rows[:3] * np.sign(rows[:3] @ direction)[:, None]
    np.testing.assert_allclose(read_direction(output), rows, atol=1e-6)
    with safe_open(output, framework="np") as tensors:
        actual = json.loads(tensors.metadata()["singular_values"])
    np.testing.assert_allclose(actual, singular_values[:3], atol=1e-5)


@pytest.mark.parametrize(
    ("neurons", "components", "part"),
    [
        (3, 4, "directions.….components: 4 components of 3 value vectors"),
        (3, 0, "directions.….components: 0 components"),
        (81, 3, "directions.….neurons: 81 value vectors are asked for, but"),
        (80, 17, "80 value vectors span 16 dimensions"),
    ],
)
def test_too_many_neurons_or_components_are_refused(
    checkpoints, tmp_path, neurons, components, part
):
    write_direction(tmp_path / "probe.safetensors", np.ones(16), {"kind": "probe"})
    output = tmp_path / "out" / "d"
    result = compute(
        checkpoints["gpt2", "pre"], tmp_path / "probe.safetensors", output, neurons, components
    )
    assert result.returncode == 1
    last = result.stdout.splitlines()[-1]
    assert last.startswith("Error: ")
    assert part in last
    assert not output.parent.exists()
