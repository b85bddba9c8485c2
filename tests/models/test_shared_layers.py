"""Readings that share the blocks below their changes, against readings of whole models."""

import pytest
import torch

from dpo_neurons.models.architectures import Layers
from dpo_neurons.models.shared_layers import SharedLayers

IDS = torch.tensor([[5, 6, 7, 8], [9, 4, 11, 30]])


def read(model):
    with torch.inference_mode():
        return model(input_ids=IDS, use_cache=False).logits


def double(module, inputs):
    return (2 * inputs[0],)


def test_a_reading_from_a_layer_on_gives_the_bits_of_a_whole_one(model):
    layers = Layers.of(model)
    starts = range(len(layers.blocks), -1, -1)
    shared = SharedLayers(model, starts)
    plain = read(model)
    for start in starts:
        down = layers.down_projections[min(start, len(layers.blocks) - 1)]
        hook = down.register_forward_pre_hook(double) if start < len(layers.blocks) else None
        whole = read(model)
        with shared.read_from(start):
            from_start = read(model)
        if hook is not None:
            hook.remove()
            assert not torch.equal(whole, plain)
        assert torch.equal(from_start, whole)
    assert torch.equal(read(model), plain)
    assert all("forward" not in vars(block) for block in layers.blocks)


def test_a_reading_may_not_begin_above_the_first_one(gpt2):
    shared = SharedLayers(gpt2, [0, 1])
    with shared.read_from(0):
        read(gpt2)
    with pytest.raises(ValueError, match="layer 1 comes after layer 0"), shared.read_from(1):
        pass


def test_a_block_with_a_forward_of_its_own_keeps_it(gpt2):
    """As accelerate's hooks give it, for a model on several devices."""
    block = gpt2.transformer.h[0]
    plain = block.forward

    def counted(*inputs, **named):
        calls.append(1)
        return plain(*inputs, **named)

    calls, block.forward = [], counted
    try:
        shared = SharedLayers(gpt2, [1])
        for _ in range(3):
            with shared.read_from(1):
                read(gpt2)
        assert vars(block)["forward"] is counted
        assert len(calls) == 1
    finally:
        del block.forward
