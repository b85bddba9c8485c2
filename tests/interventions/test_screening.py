"""Screening: a row that breaks the model is read on the first windows, all others on all."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dpo_neurons.errors import BrokenModelError
from dpo_neurons.interventions.perplexity_files import EXPLODED
from dpo_neurons.interventions.screening import Screen, measure_on_windows
from dpo_neurons.models.perplexity import score_windows

WINDOWS = [*torch.arange(3, 33).split(6), torch.tensor([3, 7])]
"""Five windows of six tokens, and a shorter last one."""


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
def test_a_row_beyond_the_limit_is_read_on_the_first_windows_alone(gpt2, n_read, share, n_windows):
    """share: of the limit that the row's perplexity on the first windows is at."""
    whole = score_windows(gpt2, WINDOWS, 4)
    own = np.exp(whole.losses[:2].sum() / 10)
    n_read.windows = 0
    measured = measure_on_windows(gpt2, WINDOWS, 4, screen=Screen(2, own / share / EXPLODED))
    assert n_read.windows == n_windows
    np.testing.assert_allclose(measured.losses, whole.losses[:n_windows], rtol=1e-6)
    assert measured.tokens.tolist() == [5, 5, 5, 5, 5, 1][:n_windows]


@pytest.mark.parametrize("n_windows", [6, 9])
def test_a_screen_as_long_as_the_text_reads_every_window_once(gpt2, n_read, n_windows):
    measured = measure_on_windows(gpt2, WINDOWS, 4, screen=Screen(n_windows, 1e-9))
    assert n_read.windows == len(measured.losses) == len(WINDOWS)


def test_a_window_that_breaks_after_the_screen_is_told_by_its_place_in_the_text(gpt2, monkeypatch):
    def read(input_ids, use_cache):
        broken = (input_ids == 21).any()  # in window 3
        logits = torch.full((*input_ids.shape, 40), np.nan if broken else 0.0)
        return SimpleNamespace(logits=logits)

    monkeypatch.setattr(gpt2, "forward", read)
    with pytest.raises(BrokenModelError, match="the loss of text window 3 is NaN"):
        measure_on_windows(gpt2, WINDOWS, 1, screen=Screen(2, 40.0))
