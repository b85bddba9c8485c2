"""Continuations read from a capture are those that the row would generate."""

from contextlib import nullcontext

import pandas as pd
import pytest
from support.tiny_models import PROMPTS

from dpo_neurons.activations.cache import gather_pieces
from dpo_neurons.activations.capture import ActivationCapture
from dpo_neurons.activations.pieces import Share, capture_pieces
from dpo_neurons.errors import InputError
from dpo_neurons.interventions.captured_texts import (
    continue_unless_captured,
    read_captured_rows,
)
from dpo_neurons.interventions.hooks import apply_plan
from dpo_neurons.interventions.outputs import Intervention, continue_under_each
from dpo_neurons.interventions.plans import empty_plan

N_TOKENS = 6
MANY = [f"{prompt} w{number}" for number in range(14) for prompt in PROMPTS]
"""Enough for two pieces, so that captured batches are others than the rows'."""
ABLATION = pd.DataFrame(
    [(0, 3, "set", 0.0), (1, 5, "set", 0.0)], columns=["layer", "neuron", "operation", "value"]
)


@pytest.fixture
def capture(tmp_path):
    """Capture the prompts' continuations, under a plan if one is given; returns the cache."""

    def write(model, tokenizer, prompts=MANY, plan=None, positions="all"):
        paths = [tmp_path / f"piece-{number}.h5" for number in (1, 2)]
        changed = nullcontext() if plan is None else apply_plan(model, plan, positions)
        with changed, ActivationCapture(model, "generated") as sums:
            capture_pieces(
                model, tokenizer, prompts, sums, N_TOKENS, 7, Share(2, 1, 1, paths), {"model": "m"}
            )
        gather_pieces(paths, tmp_path / "whole.h5")
        return tmp_path / "whole.h5"

    return write


@pytest.mark.parametrize(("plan", "positions"), [(None, "all"), (ABLATION, "last")])
def test_captured_texts_are_those_that_the_row_generates(
    model, tokenizer, capture, plan, positions
):
    path = capture(model, tokenizer, plan=plan, positions=positions)
    row = Intervention("row", empty_plan() if plan is None else plan, positions)
    (expected,) = continue_under_each([row], model, tokenizer, MANY, N_TOKENS, 32)
    assert read_captured_rows(path, tokenizer, MANY, N_TOKENS) == expected
    assert len({str(line["tokens"]) for line in expected}) > 5


def test_a_captured_row_is_not_generated_and_the_others_are(gpt2, tokenizer):
    rows = [Intervention("ablated", ABLATION, "all"), Intervention("captured", empty_plan(), "all")]
    own, _ = continue_under_each(rows, gpt2, tokenizer, PROMPTS, N_TOKENS, 8)
    captured = {"captured": [{"prompt": "as it was read"}]}
    continued = continue_unless_captured(rows, captured, gpt2, tokenizer, PROMPTS, N_TOKENS, 8)
    assert continued == [own, captured["captured"]]
    assert continue_unless_captured(rows[1:], captured, gpt2, tokenizer, PROMPTS, N_TOKENS, 8) == [
        captured["captured"]
    ]


@pytest.mark.parametrize(("prompts", "n_tokens"), [(PROMPTS[1:], N_TOKENS), (PROMPTS, 5)])
def test_a_capture_of_other_prompts_or_lengths_is_refused(
    gpt2, tokenizer, capture, prompts, n_tokens
):
    path = capture(gpt2, tokenizer, PROMPTS)
    with pytest.raises(InputError, match=r"whole\.h5: holds 5 continuations of 6 tokens, but"):
        read_captured_rows(path, tokenizer, prompts, n_tokens)
