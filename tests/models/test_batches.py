"""Batches that halve when memory runs out."""

import numpy as np
import pytest
import torch
from support.tiny_models import PROMPTS

from dpo_neurons.activations.capture import ActivationCapture
from dpo_neurons.errors import InputError
from dpo_neurons.models.batches import TokenLimit, run_in_batches
from dpo_neurons.models.generation import generate_greedily

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def fitting(most, seen):
    """A run that fits a limited number of items, and records its batches."""

    def run(batch):
        seen.append(list(batch))
        if len(batch) > most:
            raise FULL
        return [item * 10 for item in batch]

    return run


@pytest.mark.parametrize(("count", "size", "most"), [(10, 4, 4), (10, 16, 3), (7, 4, 1), (1, 8, 1)])
def test_every_item_is_run_once_in_order(count, size, most):
    seen = []
    found = list(run_in_batches(list(range(count)), size, fitting(most, seen)))
    assert [item for _, batch in found for item in batch] == [10 * i for i in range(count)]
    assert [start for start, _ in found] == [batch[0] for batch in seen if len(batch) <= most]


def test_the_size_halves_from_the_batch_that_failed_and_stays():
    seen = []
    list(run_in_batches(list(range(20)), 12, fitting(3, seen)))
    assert [len(batch) for batch in seen] == [12, 6, 3, 3, 3, 3, 3, 3, 2]
    assert [batch[0] for batch in seen] == [0, 0, 0, 3, 6, 9, 12, 15, 18]


def test_a_failure_later_on_repeats_no_earlier_batch():
    seen = []

    def run(batch):
        seen.append(list(batch))
        if len(batch) > 1 and 5 in batch:
            raise FULL
        return batch

    assert [list(batch) for _, batch in run_in_batches(list(range(8)), 2, run)] == [
        [0, 1], [2, 3], [4], [5], [6], [7],
    ]  # fmt: skip
    assert seen == [[0, 1], [2, 3], [4, 5], [4], [5], [6], [7]]


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        # Longer than the limit of 20: alone. Then 2 × 10, 3 × 6, and four at most.
        ([30, 10, 10, 6, 6, 6, 5, 2, 2, 2, 2], [1, 2, 3, 4, 1]),
        # In any order, the longest counts: 2 × 4, but 3 × 10 is too much.
        ([3, 4, 10, 9, 1], [2, 2, 1]),
    ],
)
def test_batches_of_long_items_are_smaller(lengths, sizes):
    limit = TokenLimit(lengths, 20)
    batches = run_in_batches(range(len(lengths)), 4, list, limit=limit)
    assert [len(batch) for _, batch in batches] == sizes


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory",
    ],
    ids=lambda words: words[:30],
)
def test_memory_that_others_than_torch_lack_halves_too(words):
    def run(batch):
        if len(batch) > 2:
            raise RuntimeError(words)
        return batch

    assert [batch for _, batch in run_in_batches([1, 2, 3, 4], 4, run)] == [[1, 2], [3, 4]]


def test_a_single_item_that_does_not_fit_is_one_sentence():
    with pytest.raises(InputError, match="a batch of one does not fit") as caught:
        list(run_in_batches([1, 2], 2, fitting(0, [])))
    assert "compute.device" in str(caught.value)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("no"), KeyError(3)])
def test_other_errors_pass_untouched(error):
    def run(batch):
        raise error

    with pytest.raises(type(error)) as caught:
        list(run_in_batches([1, 2], 2, run))
    assert caught.value is error


def test_no_items_are_no_batches():
    assert list(run_in_batches([], 4, fitting(4, []))) == []


@pytest.mark.parametrize("fails_at", [0, 3, 6])
def test_a_capture_that_ran_out_of_memory_has_the_same_sums(gpt2, tokenizer, monkeypatch, fails_at):
    def captured():
        with ActivationCapture(gpt2, "generated") as capture:
            parts = [
                (batch.tokens, capture.sums["mlp_post"].numpy().copy())
                for batch in generate_greedily(gpt2, tokenizer, PROMPTS, 6, 4, capture)
            ]
        return [np.concatenate(each) for each in zip(*parts, strict=True)]

    tokens, sums = captured()
    passes = []

    def run_out(module, inputs, named):
        passes.append(len(named["input_ids"]))
        if passes[-1] > 2 and len(passes) > fails_at:
            raise FULL

    hook = gpt2.register_forward_pre_hook(run_out, with_kwargs=True)
    try:
        its_tokens, its_sums = captured()
    finally:
        hook.remove()
    assert max(passes) == 4
    assert passes[-1] == 1
    np.testing.assert_array_equal(its_tokens, tokens)
    np.testing.assert_allclose(its_sums, sums, atol=1e-5, rtol=1e-5)
