"""Equation 1, and the identity that ties it to the MLP outputs."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.tiny_models import PROMPTS
from support.whole_cache import new_cache
from support.workflow import PROJECT, program

from dpo_neurons.activations.cache import open_cache
from dpo_neurons.activations.capture import POSITIONS, ActivationCapture
from dpo_neurons.directions.direction_files import write_direction
from dpo_neurons.errors import InputError
from dpo_neurons.models.generation import generate_greedily
from dpo_neurons.models.value_vectors import project_written_vectors, read_gains_after_mlp
from dpo_neurons.neurons.contributions import (
    COLUMNS,
    IDENTITY_TOLERANCE,
    compute_contributions,
    identity_error,
    project_outputs,
    read_contributions,
    row_suffixes,
)

# Value vectors of two layers of three neurons, two wide; the direction is the first axis.
V_PRE = np.array([[[3.0, 4.0], [-1.0, 0.0], [0.0, 2.0]], [[0.0, 0.0], [6.0, -8.0], [-3.0, 4.0]]])
V_POST = np.array([[[2.0, 4.0], [-1.0, 0.0], [1.0, 2.0]], [[0.0, 0.0], [6.0, 0.0], [-3.0, 4.0]]])
FILE = Path("probe.safetensors")
M_PRE = np.array([[1.0, 2.0, 5.0], [4.0, -0.5, -1.0]])
M_POST = np.array([[0.5, 3.0, 5.0], [1.0, -1.0, 0.5]])


def table_by_package(definition="v1"):
    norms = np.linalg.norm(V_PRE, axis=2)
    return compute_contributions(M_PRE, M_POST, V_PRE[..., 0], V_POST[..., 0], norms, definition)


def test_equation_one_by_hand():
    table = table_by_package()
    assert tuple(table.columns) == COLUMNS
    assert table["layer"].tolist() == [0, 0, 0, 1, 1, 1]
    assert table["neuron"].tolist() == [0, 1, 2, 0, 1, 2]
    np.testing.assert_allclose(table["cosine"], [0.6, -1, 0, 0, 0.6, -0.6])
    np.testing.assert_allclose(table["projection_pre"], [3, -2, 0, 0, -3, 3])
    np.testing.assert_allclose(table["projection_post"], [1, -3, 5, 0, -6, -1.5])
    np.testing.assert_allclose(table["reduction"], [2, 1, -5, 0, 3, 4.5])
    assert table["rank"].tolist() == [3, 4, 6, 5, 2, 1]
    np.testing.assert_array_equal(table["activation_pre"], M_PRE.ravel())
    np.testing.assert_array_equal(table["activation_post"], M_POST.ravel())
    assert table["group"].tolist() == ["TP-", "AP+", "unchanged", "unchanged", "TN+", "AN-"]


def test_a_layers_reductions_add_up_to_the_drop_of_its_output():
    drop = ((M_PRE[..., None] * V_PRE).sum(axis=1) - (M_POST[..., None] * V_POST).sum(axis=1))[:, 0]
    assert identity_error(table_by_package(), drop) < 1e-15
    # One unit off in the second layer, whose absolute projections sum to 6 + 7.5.
    assert identity_error(table_by_package(), drop + np.array([0, 1])) == pytest.approx(1 / 13.5)


def test_ties_are_ranked_in_order_of_the_neurons():
    zeros = np.zeros((2, 2))
    table = compute_contributions(zeros, zeros, zeros, zeros, zeros, "v3")
    assert table["rank"].tolist() == [1, 2, 3, 4]
    assert table["cosine"].tolist() == [0, 0, 0, 0]


def capture_to_cache(model, tokenizer, path, positions):
    size = len(PROMPTS), 5, 2
    with (
        new_cache(path, *size[:2], {"model": "m", "revision": "r", "dtype": "float32"}) as cache,
        ActivationCapture(model, positions) as capture,
    ):
        for batch in generate_greedily(model, tokenizer, PROMPTS, *size[1:], capture):
            sums = {name: tensor.numpy() for name, tensor in capture.sums.items()}
            cache.add(batch.start, batch.tokens, batch.mask, sums)
    return path


@pytest.mark.every_architecture
@pytest.mark.parametrize("positions", POSITIONS)
def test_the_identity_is_exact_on_every_architecture(
    checkpoints, loaded, tokenizer, architecture, positions, tmp_path
):
    direction = np.random.default_rng(3).normal(size=16)
    direction /= np.linalg.norm(direction)
    means, projected, outputs = {}, {}, {}
    for stage in ("pre", "post", "other"):
        model, path = loaded(architecture, stage), tmp_path / f"{stage}.h5"
        capture_to_cache(model, tokenizer, path, positions)
        n_layers = model.config.num_hidden_layers
        projected[stage] = project_written_vectors(
            checkpoints[architecture, stage], direction, FILE
        )
        gains = read_gains_after_mlp(checkpoints[architecture, stage], n_layers)
        with open_cache(path) as cache:
            means[stage] = cache["mlp_post_mean"][:]
            biases = projected[stage][2][None]
            outputs[stage] = project_outputs(cache, direction[None], biases, gains)[0]

    def error(activations_post):
        table = compute_contributions(
            means["pre"], means[activations_post], projected["pre"][0], projected["post"][0],
            projected["pre"][1], "v1",
        )  # fmt: skip
        assert table["reduction"].abs().max() > 1e-3
        return identity_error(table, outputs["pre"] - outputs[activations_post])

    assert error("post") < IDENTITY_TOLERANCE["float32"]
    assert error("other") > 100 * IDENTITY_TOLERANCE["float32"]


@pytest.mark.parametrize("dtype", IDENTITY_TOLERANCE)
def test_the_tolerance_tells_another_checkpoint_apart_in_every_dtype(dtype):
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator).to(getattr(torch, dtype))

    # Eight layers of Llama's width; of the stream, the direction's component is enough.
    activations, values, others = random(16, 14336), random(14336, 8), random(14336, 8)
    drop = (activations @ values).float().mean(dim=0).numpy()
    mean = np.tile(activations.float().mean(dim=0).numpy(), (8, 1))
    errors = []
    for weights in (values, others):
        components = weights.double().T.numpy()
        errors.append(
            identity_error(
                compute_contributions(
                    mean, 0 * mean, components, components, abs(components), "v1"
                ),
                drop,
            )
        )
    assert errors[0] < IDENTITY_TOLERANCE[dtype] < errors[1]


def table_of_two_rows(definition="v1", turn=None):
    """Along both axes of the plane, or along those turned by an orthogonal matrix."""
    turn = np.eye(2) if turn is None else turn
    along = [np.moveaxis(values @ turn.T, 2, 0) for values in (V_PRE, V_POST)]
    return compute_contributions(M_PRE, M_POST, *along, np.linalg.norm(V_PRE, axis=2), definition)


def test_two_rows_by_hand():
    table = table_of_two_rows()
    assert row_suffixes(table) == ("_1", "_2", "_total")
    assert row_suffixes(table_by_package()) == ()
    np.testing.assert_allclose(table["reduction_1"], [2, 1, -5, 0, 3, 4.5])
    np.testing.assert_allclose(table["projection_pre_2"], [4, 0, 10, 0, 4, -4])
    np.testing.assert_allclose(table["projection_post_2"], [2, 0, 10, 0, 0, 2])
    np.testing.assert_allclose(table["reduction_2"], [2, 0, 0, 0, 4, -6])
    # They drop by 5.5 along the first axis and by nothing along the second.
    np.testing.assert_allclose(table.attrs["shift_direction"], [1, 0])
    np.testing.assert_allclose(table["reduction_total"], table["reduction_1"])


@pytest.mark.parametrize("definition", ["v1", "v3"])
def test_all_but_the_further_columns_goes_by_the_first_row(definition):
    several = table_of_two_rows(definition)[list(COLUMNS)]
    pd.testing.assert_frame_equal(several, table_by_package(definition), check_exact=True)


def test_the_total_is_along_the_shift_and_sums_to_its_length():
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    table = table_of_two_rows(turn=turn)
    # The shift, 5.5 along the first axis, has the coordinates 3.3 and -4.4 in the turned basis.
    np.testing.assert_allclose(table.attrs["shift_direction"], [0.6, -0.8])
    rows = table[["reduction_1", "reduction_2"]].to_numpy()
    total = table["reduction_total"]
    np.testing.assert_allclose(total, rows @ [0.6, -0.8])
    drops = table["projection_pre_total"] - table["projection_post_total"]
    np.testing.assert_allclose(total, drops)
    assert total.sum() == pytest.approx(np.linalg.norm(rows.sum(axis=0)))
    # The subspace is the same, and so is the total.
    np.testing.assert_allclose(total, table_of_two_rows()["reduction_total"], atol=1e-12)


def test_the_total_does_not_depend_on_the_signs_of_later_rows():
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    table, turned = (table_of_two_rows(turn=turn * [[1], [sign]]) for sign in (1, -1))
    for column in ("reduction_total", "projection_pre_total"):
        np.testing.assert_allclose(table[column], turned[column], atol=1e-12)
    np.testing.assert_allclose(table["reduction_2"], -turned["reduction_2"])


def test_a_rise_along_the_first_row_is_a_negative_total():
    along = [np.moveaxis(values, 2, 0) for values in (V_POST, V_PRE)]
    table = compute_contributions(M_POST, M_PRE, *along, np.linalg.norm(V_POST, axis=2), "v1")
    np.testing.assert_allclose(table.attrs["shift_direction"], [1, 0])
    assert table["reduction_total"].sum() == pytest.approx(-5.5)


def test_the_identity_holds_for_each_row_and_in_total():
    table = table_of_two_rows()
    drops = (M_PRE[..., None] * V_PRE).sum(axis=1) - (M_POST[..., None] * V_POST).sum(axis=1)
    drops = np.vstack([drops.T, table.attrs["shift_direction"] @ drops.T])
    for row, drop in zip(row_suffixes(table), drops, strict=True):
        assert identity_error(table, drop, row) < 1e-15
        assert identity_error(table, drop + 1, row) > 0.01


@pytest.mark.parametrize("definition", ["v1", "v3"])
def test_one_row_gives_the_same_table_with_and_without_its_axis(tmp_path, definition):
    norms = np.linalg.norm(V_PRE, axis=2)
    along = V_PRE[None, ..., 0], V_POST[None, ..., 0]
    table = compute_contributions(M_PRE, M_POST, *along, norms, definition)
    table.to_parquet(tmp_path / "one.parquet", index=False)
    table_by_package(definition).to_parquet(tmp_path / "other.parquet", index=False)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "other.parquet").read_bytes()


def test_the_shift_survives_writing_and_reading(tmp_path):
    table = table_of_two_rows()
    table.to_parquet(tmp_path / "c.parquet", index=False)
    actual = read_contributions(tmp_path / "c.parquet")
    pd.testing.assert_frame_equal(actual, table)
    assert actual.attrs == table.attrs


@pytest.fixture
def compute(checkpoints, loaded, tokenizer, tmp_path):
    """Run the program on captures of a tiny Llama: compute(rows of a direction, captured stage)."""
    for stage in ("pre", "post", "other"):
        capture_to_cache(loaded("llama", stage), tokenizer, tmp_path / f"{stage}.h5", POSITIONS[0])

    def run(rows, after="post"):
        write_direction(tmp_path / "d.safetensors", rows, {})
        return program(
            "compute_contributions",
            f"--checkpoint-pre {checkpoints['llama', 'pre']} --activations-pre {tmp_path}/pre.h5"
            f" --checkpoint-post {checkpoints['llama', 'post']}"
            f" --activations-post {tmp_path}/{after}.h5 --direction {tmp_path}/d.safetensors"
            f" --definition v3 --output {tmp_path}/c.parquet",
        )

    return run


@pytest.mark.slow
def test_the_program_checks_each_row_of_a_direction(compute, tmp_path):
    rows = np.random.default_rng(4).normal(size=(3, 16))
    result = compute(rows)
    assert result.returncode == 0, result.stdout
    assert result.stdout.count("neurons add up to the drop") == 4
    assert "together the neurons moved along" in result.stdout
    several = read_contributions(tmp_path / "c.parquet")
    assert row_suffixes(several) == ("_1", "_2", "_3", "_total")
    assert compute(rows[:1]).returncode == 0
    single = read_contributions(tmp_path / "c.parquet")
    assert tuple(single.columns) == COLUMNS
    pd.testing.assert_frame_equal(several[list(COLUMNS)], single, check_exact=True)
    for column in ("reduction", "projection_pre", "projection_post"):
        np.testing.assert_allclose(several[f"{column}_1"], single[column], atol=1e-15)

    result = compute(rows, after="other")
    assert result.returncode == 1
    assert "the neurons do not add up to the MLP outputs" in result.stdout.splitlines()[-1]
    result = compute(rows[[0, 1, 1]])
    assert "row 3 of the direction lies in the span" in result.stdout.splitlines()[-1]


def test_a_direction_of_another_width_is_refused_naming_both(checkpoints, architecture):
    with pytest.raises(InputError, match=r"the direction is 12 wide.* is 16 wide") as caught:
        project_written_vectors(checkpoints[architecture, "pre"], np.ones(12), FILE)
    assert str(caught.value).startswith(f"{FILE}: ")
    assert str(checkpoints[architecture, "pre"]) in str(caught.value)


def test_a_table_survives_writing_and_reading(tmp_path):
    table = table_by_package()
    table.to_parquet(tmp_path / "c.parquet", index=False)
    pd.testing.assert_frame_equal(read_contributions(tmp_path / "c.parquet"), table)


@pytest.mark.parametrize("content", ["damaged", "column"])
def test_a_file_that_is_no_table_is_named(tmp_path, content):
    path = tmp_path / "c.parquet"
    if content == "damaged":
        path.write_bytes(b"PAR1 no more")
    else:
        table_by_package().drop(columns="rank").to_parquet(path)
    words = "cannot be read as parquet" if content == "damaged" else "need the column 'rank'"
    with pytest.raises(InputError, match=words) as caught:
        read_contributions(path)
    assert str(path) in str(caught.value)


def test_reading_contributions_loads_no_torch():
    """Figures and plans read contributions; importing torch would cost them seconds."""
    code = (
        "import sys; sys.path.insert(0, 'workflow_scripts'); "
        "import dpo_neurons.neurons.contributions; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0
