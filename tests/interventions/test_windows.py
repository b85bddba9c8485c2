"""Rows on windows of text: divergences by hand, screening, and what rows share."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from support.by_hand import forward

from dpo_neurons.errors import InputError
from dpo_neurons.interventions import divergence, windows
from dpo_neurons.interventions.outputs import Intervention
from dpo_neurons.interventions.windows import measure_on_windows
from dpo_neurons.models.architectures import Layers

WINDOWS = [*torch.arange(3, 33).split(6), torch.tensor([3, 7])]
"""Five windows of six tokens, and a shorter last one."""
COLUMNS = ["layer", "neuron", "operation", "value"]


def row_of(name, *changes):
    return Intervention(name, pd.DataFrame(changes, columns=COLUMNS), "last")


CHANGED = row_of("x", (0, 2, "set", 0.7), (1, 3, "add", -0.4))
UNCHANGED = row_of("unchanged")


def both(model):
    return {"none": model, "dpo": model}


def shares(model, window):
    return torch.log_softmax(forward(model, [window.tolist()])["logits"][0].double(), dim=-1)


def changed_shares(model, window):
    """Predictions under CHANGED, by hooks of this test."""

    def hook(module, inputs, neuron, operation, value):
        states = inputs[0].view(1, -1, inputs[0].shape[-1])
        states[:, :, neuron] = (states[:, :, neuron] if operation == "add" else 0) + value

    hooks = [
        Layers.of(model)
        .down_projections[layer]
        .register_forward_pre_hook(partial(hook, neuron=neuron, operation=operation, value=value))
        for layer, neuron, operation, value in CHANGED.plan.itertuples(index=False)
    ]
    try:
        return shares(model, window)
    finally:
        for registered in hooks:
            registered.remove()


def test_divergences_and_losses_by_hand(loaded, architecture, monkeypatch):
    monkeypatch.setattr(divergence, "COMPARED_AT_ONCE", 2)
    pre, post = loaded(architecture, "pre"), loaded(architecture, "post")
    references = {"none": pre, "dpo": post}
    rows = [CHANGED, UNCHANGED]
    perplexities, both = measure_on_windows(pre, references, rows, WINDOWS, 2, n_compared=3)
    table = both[both["intervention"] == "x"]
    assert (both[both["intervention"] == "unchanged"]["kl_none"] == 0).all()
    assert table["tokens"].tolist() == [5, 5, 5]
    for number, window in enumerate(WINDOWS):
        changed = changed_shares(pre, window)[:-1]
        loss = -changed.gather(1, window[1:, None]).sum()
        assert perplexities[0].losses[number] == pytest.approx(float(loss), rel=1e-4)
        for name, model in references.items() if number < 3 else ():
            p = shares(model, window)[:-1]
            expected = float((p.exp() * (p - changed)).sum())
            assert table[f"kl_{name}"][number] == pytest.approx(expected, rel=2e-3, abs=1e-6)


def test_rows_read_together_are_as_each_alone(model):
    """Layers that a row leaves as they are give the same bits to all."""
    top = len(Layers.of(model).blocks) - 1
    rows = [
        CHANGED,
        row_of("key", (top, 1, "scale_key", 3.0)),
        UNCHANGED,
        row_of("top", (top, 2, "set", 1.0)),
    ]
    together, table = measure_on_windows(model, both(model), rows, WINDOWS, 3, 2)
    for row, perplexity in zip(rows, together, strict=True):
        (alone,), _ = measure_on_windows(model, both(model), [row], WINDOWS, 3, 0)
        np.testing.assert_array_equal(perplexity.losses, alone.losses)
        assert perplexity.tokens.tolist() == [5, 5, 5, 5, 5, 1]
    assert (table["kl_none"] > 0).tolist() == [True] * 4 + [False] * 2 + [True] * 2


def test_layers_below_the_changes_run_once(gpt2):
    ran = []
    hooks = [
        down.register_forward_hook(lambda *seen, layer=layer: ran.append(layer))
        for layer, down in enumerate(Layers.of(gpt2).down_projections)
    ]
    rows = [
        CHANGED,
        row_of("top", (1, 2, "set", 1.0)),
        row_of("too", (1, 3, "set", 1.0)),
        UNCHANGED,
    ]
    try:
        measure_on_windows(gpt2, both(gpt2), rows[:3], WINDOWS[:1], 3, 0)
        assert sorted(ran) == [0, 0, 1, 1, 1]
        ran.clear()
        measure_on_windows(gpt2, both(gpt2), rows, WINDOWS[:1], 3, 0, n_screening=1)
        assert sorted(ran) == [0, 0, 1, 1, 1, 1]
    finally:
        for hook in hooks:
            hook.remove()


@pytest.fixture
def n_read(gpt2):
    """Counts the windows that the model reads."""
    read = SimpleNamespace(windows=0)

    def count(module, inputs, output):
        read.windows += len(inputs[0])

    hook = gpt2.transformer.wte.register_forward_hook(count)
    yield read
    hook.remove()


@pytest.mark.parametrize(("share", "n_windows"), [(1.01, 2), (0.99, 6)])
def test_a_row_beyond_the_limit_is_read_on_the_first_windows_alone(
    loaded, gpt2, n_read, monkeypatch, share, n_windows
):
    """share: of the limit that the row's perplexity on the first windows is at."""
    first = loaded("gpt2", "post")
    (whole,), _ = measure_on_windows(gpt2, both(gpt2), [UNCHANGED], WINDOWS, 4, 0)
    (screen,), _ = measure_on_windows(first, both(first), [UNCHANGED], WINDOWS[:2], 4, 0)
    own = np.exp(whole.losses[:2].sum() / 10)
    monkeypatch.setattr(windows, "EXPLODED", own / screen.perplexity / share)
    n_read.windows = 0
    (measured,), _ = measure_on_windows(gpt2, both(first), [UNCHANGED], WINDOWS, 4, 0, 2)
    assert n_read.windows == n_windows
    np.testing.assert_allclose(measured.losses, whole.losses[:n_windows], rtol=1e-6)
    assert measured.tokens.tolist() == [5, 5, 5, 5, 5, 1][:n_windows]


def test_a_broken_row_is_still_compared_on_all_compared_windows(gpt2, monkeypatch):
    monkeypatch.setattr(windows, "EXPLODED", 1e-9)
    (measured,), table = measure_on_windows(gpt2, both(gpt2), [CHANGED], WINDOWS, 4, 4, 2)
    (whole,), compared = measure_on_windows(gpt2, both(gpt2), [CHANGED], WINDOWS, 4, 4)
    np.testing.assert_allclose(measured.losses, whole.losses[:2], rtol=1e-6)
    pd.testing.assert_frame_equal(table, compared, rtol=1e-5)


@pytest.mark.parametrize("n_windows", [6, 9])
def test_a_screen_as_long_as_the_text_reads_every_window_once(
    loaded, gpt2, n_read, monkeypatch, n_windows
):
    monkeypatch.setattr(windows, "EXPLODED", 1e-9)
    first = loaded("gpt2", "post")
    (measured,), _ = measure_on_windows(gpt2, both(first), [UNCHANGED], WINDOWS, 4, 0, n_windows)
    assert n_read.windows == len(measured.losses) == len(WINDOWS)


def test_a_window_that_breaks_after_the_screen_is_told_by_its_place_in_the_text(gpt2, monkeypatch):
    def read(input_ids, use_cache):
        broken = (input_ids == 21).any()  # in window 3
        logits = torch.full((*input_ids.shape, 40), np.nan if broken else 0.0)
        return SimpleNamespace(logits=logits)

    monkeypatch.setattr(gpt2, "forward", read)
    with pytest.raises(InputError, match="the loss of text window 3 is NaN"):
        measure_on_windows(gpt2, both(gpt2), [UNCHANGED], WINDOWS, 1, 0, 2)


@pytest.mark.parametrize(("n_screening", "name"), [(0, "huge"), (1, "none")])
def test_a_model_that_predicts_no_numbers_is_said_to_be_broken(
    loaded, monkeypatch, n_screening, name
):
    gpt2 = loaded("gpt2")
    rows = [UNCHANGED, row_of("huge", (0, 2, "set", 3e38))]
    if name == "none":
        monkeypatch.setattr(
            gpt2,
            "forward",
            lambda input_ids, use_cache: SimpleNamespace(
                logits=torch.full((*input_ids.shape, 40), np.nan)
            ),
        )
    with pytest.raises(InputError, match=rf"row {name}.* the loss of text window 0 is NaN"):
        measure_on_windows(gpt2, both(gpt2), rows, WINDOWS, 4, 0, n_screening)
