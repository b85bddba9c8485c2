"""Shifts of the residual stream: planted shifts are recovered."""

import numpy as np
import pytest
import torch
from support.by_hand import mlp_of, stack
from support.tiny_models import PROMPTS

from dpo_neurons.activations.capture import ActivationCapture
from dpo_neurons.models.generation import generate_greedily
from dpo_neurons.models.loading import load_model
from dpo_neurons.neurons.residual_shifts import (
    cosine,
    first_component,
    late_layer,
    measure_shift,
    quarter_layers,
)

random = np.random.default_rng(5)
UNIT = np.linalg.qr(random.normal(size=(6, 6)))[0]
"""Six orthonormal rows."""


def streams(n=40):
    """A model's streams: most of their variance along UNIT[1], a mean far from zero."""
    spread = np.array([0.1, 3, 0.5, 0.4, 0.3, 0.2])
    return (random.normal(size=(n, 6)) * spread) @ UNIT + 7 * UNIT[4]


def test_a_shift_that_all_prompts_share_is_found_whole():
    before = streams()
    shift = measure_shift(before, before - 2 * UNIT[0])
    np.testing.assert_allclose(shift.mean, -2 * UNIT[0], atol=1e-12)
    assert shift.shared == pytest.approx(1)
    assert shift.shift_component_share == pytest.approx(1)
    np.testing.assert_allclose(shift.shift_component, -UNIT[0], atol=1e-7)
    assert shift.size_before == pytest.approx(np.sqrt((before**2).sum(axis=1).mean()))


def test_the_streams_component_is_theirs_and_not_the_shifts():
    before = streams(400)
    shift = measure_shift(before, before + 0.5 * UNIT[0])
    assert abs(shift.stream_component @ UNIT[1]) > 0.99
    both = np.concatenate([before, before + 0.5 * UNIT[0]])
    variances = np.linalg.eigvalsh(np.cov(both.T, bias=True))
    assert shift.stream_component_share == pytest.approx(variances[-1] / variances.sum())
    assert shift.stream_component @ shift.mean >= 0


def test_where_the_shift_is_the_main_component_the_side_is_the_next_one():
    before = streams(400)
    after = before.copy()
    after[:200] += 40 * UNIT[0]
    shift = measure_shift(before, after)
    assert abs(shift.stream_component @ UNIT[0]) > 0.99
    assert abs(shift.side_component @ UNIT[1]) > 0.98
    assert shift.side_component @ shift.mean == pytest.approx(0, abs=1e-9)


def test_shifts_that_differ_share_what_their_mean_has():
    before = streams(2)
    shift = measure_shift(before, before + np.stack([3 * UNIT[0], 4 * UNIT[2]]))
    # The mean of (3, 0) and (0, 4) has the square 1.5² + 2², that of the two is 12.5.
    assert shift.shared == pytest.approx(6.25 / 12.5)
    assert shift.shift_component_share == pytest.approx(16 / 25)
    np.testing.assert_allclose(shift.shift_component, UNIT[2], atol=1e-9)


def test_no_shift_is_zero_and_no_error():
    before = streams(3)
    shift = measure_shift(before, before)
    assert shift.mean.tolist() == shift.shift_component.tolist() == [0] * 6
    assert shift.shared == shift.shift_component_share == 0
    assert np.linalg.norm(shift.side_component) == pytest.approx(1)
    one = measure_shift(before[:1], before[:1])
    assert (one.stream_component_share, one.stream_component.tolist()) == (0, [0] * 6)


@pytest.mark.parametrize("shape", [(3, 8), (8, 3), (1, 5), (5, 5), (520, 510), (501, 900)])
def test_the_first_component_is_the_singular_vector_whatever_the_shape(shape):
    rows = random.normal(size=shape)
    component, share = first_component(rows, np.zeros(shape[1]))
    _, values, vectors = np.linalg.svd(rows)
    assert share == pytest.approx(values[0] ** 2 / (values**2).sum())
    assert abs(component @ vectors[0]) == pytest.approx(1)
    assert component[np.abs(component).argmax()] > 0
    turned, _ = first_component(rows, -component)
    np.testing.assert_allclose(turned, -component)


def test_cosines_of_nothing_are_zero():
    assert cosine(np.zeros(3), np.ones(3)) == 0
    assert cosine(np.array([2.0, 0, 0]), np.array([-1.0, 0, 0])) == -1


@pytest.mark.parametrize(
    ("n_layers", "shown", "late"),
    [(1, [0], 0), (2, [0, 1], 0), (4, [0, 1, 2, 3], 2), (24, [5, 11, 17, 23], 17)],
)
def test_layers_at_the_quarters_of_the_depth_are_shown(n_layers, shown, late):
    assert quarter_layers(n_layers) == shown
    assert late_layer(n_layers) == late


def residuals_of(model, tokenizer):
    """Mean stream of each prompt over one token, (n_prompts, n_layers, d_model)."""
    with ActivationCapture(model, "predicting") as capture:
        list(generate_greedily(model, tokenizer, PROMPTS, 1, 16, capture))
        return capture.sums["resid_post"].numpy()


@pytest.mark.parametrize("architecture", ["gpt2", "opt", "phi", "gpt_neox"])
def test_a_shift_planted_in_a_model_by_a_bias_is_recovered(checkpoints, architecture, tokenizer):
    pre, post = (load_model(checkpoints[architecture, "pre"], "float32", "cpu") for _ in range(2))
    planted = torch.tensor(random.normal(size=16), dtype=torch.float32)
    layer = len(stack(post)) - 1
    mlp_of(post, layer).down.bias.add_(planted)
    before, after = residuals_of(pre, tokenizer), residuals_of(post, tokenizer)
    np.testing.assert_array_equal(before[:, :layer], after[:, :layer])
    shift = measure_shift(before[:, layer], after[:, layer])
    np.testing.assert_allclose(shift.mean, planted, atol=1e-5)
    assert shift.shared == pytest.approx(1, abs=1e-6)
    assert cosine(shift.shift_component, planted.double().numpy()) == pytest.approx(1, abs=1e-9)
