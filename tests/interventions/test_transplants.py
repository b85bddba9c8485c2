"""Weights of the other checkpoint in place of a model's own, on every architecture."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from support.by_hand import forward, mlp_of, same_state, stack, state_of
from support.tiny_models import randomise, small_config
from transformers import AutoModelForCausalLM

from dpo_neurons.errors import InputError
from dpo_neurons.interventions.hooks import apply_plan
from dpo_neurons.interventions.planning import plan_neuron_transplant, plan_transplant
from dpo_neurons.interventions.transplants import WeightDonor
from dpo_neurons.interventions.weight_folding import fold_plan

pytestmark = pytest.mark.every_architecture

IDS = [[5, 9, 14, 22, 7], [30, 8, 8, 17, 3]]
PARTS = ("mlp", "attention", "norms", "embedding")


@pytest.fixture
def other(loaded, architecture):
    """The second checkpoint of each architecture in turn."""
    return loaded(architecture, "post")


def changed_tensors(model, other, plan):
    """Names of the tensors that a plan changes; all others are as before, bit for bit."""
    before = state_of(model)
    with apply_plan(model, plan, "all", donor=WeightDonor(other)):
        now, names = model.state_dict(), set()
        for name, tensor in before.items():
            if not torch.equal(now[name], tensor):
                names.add(name)
    assert same_state(model, before)
    return names


def test_with_all_parts_a_model_is_the_other_one_bit_for_bit(model, other):
    state, logits = state_of(model), forward(model, IDS)["logits"]
    with apply_plan(model, plan_transplant(count(model), None), "last", donor=WeightDonor(other)):
        assert same_state(other, state_of(model))
        assert torch.equal(forward(model, IDS)["logits"], forward(other, IDS)["logits"])
    assert same_state(model, state)
    assert torch.equal(forward(model, IDS)["logits"], logits)


def test_a_part_into_one_model_and_the_rest_into_the_other_make_the_same_model(model, other):
    with apply_plan(
        model, plan_transplant(count(model), ["mlp", "norms"]), "all", donor=WeightDonor(other)
    ):
        logits = forward(model, IDS)["logits"]
    with apply_plan(
        other, plan_transplant(count(model), ["attention", "embedding"]), "all",
        donor=WeightDonor(model),
    ):  # fmt: skip
        assert torch.equal(forward(other, IDS)["logits"], logits)


def test_every_tensor_is_of_exactly_one_part(model, other):
    by_part = [
        changed_tensors(model, other, plan_transplant(count(model), [part])) for part in PARTS
    ]
    assert sum(map(len, by_part)) == len(set.union(*by_part)) == len(model.state_dict())
    mlp, attention, norms, embedding = by_part
    own = {id(module) for layer in range(count(model)) for module in mlp_modules(model, layer)}
    for name in mlp:
        assert id(model.get_submodule(name.rpartition(".")[0])) in own
    assert all(".attn." in name or "attention." in name or "_attn." in name for name in attention)
    assert all(model.state_dict()[name].ndim == 1 for name in norms)
    assert all("emb" in name or "head" in name or ".wt" in name or ".wp" in name
               for name in embedding)  # fmt: skip


def test_keys_and_values_make_the_mlp_and_layers_bound_them(model, other):
    down = {name for name in model.state_dict() if any(
        model.get_submodule(name.rpartition(".")[0]) is mlp_of(model, layer).down
        for layer in range(count(model)))}  # fmt: skip
    assert changed_tensors(model, other, plan_transplant(count(model), ["values"])) == down
    keys = changed_tensors(model, other, plan_transplant(count(model), ["keys"]))
    mlp = changed_tensors(model, other, plan_transplant(count(model), ["mlp"]))
    assert keys | down == mlp
    assert not keys & down
    second = changed_tensors(model, other, plan_transplant(count(model), None, (1, 1)))
    block = {f"{name}" for name, _ in stack(model)[1].named_parameters()}
    assert len(second) == len(block)
    assert all(".1." in name for name in second)


def test_a_neuron_has_the_other_models_key_value_and_up_vectors(model, other):
    neurons = pd.DataFrame({"layer": [0, 0, 1], "neuron": [3, 11, 0]})
    unchanged = [mlp_of(model, layer) for layer in (0, 1)]
    unchanged = [(mlp.keys, clone(mlp.ups), mlp.values.clone()) for mlp in unchanged]
    with apply_plan(model, plan_neuron_transplant(neurons), "all", donor=WeightDonor(other)):
        for layer, chosen in ((0, [3, 11]), (1, [0])):
            now, given = mlp_of(model, layer), mlp_of(other, layer)
            for own, theirs, before in zip(
                (now.keys, now.ups, now.values), (given.keys, given.ups, given.values),
                unchanged[layer], strict=True,
            ):  # fmt: skip
                if own is None:
                    continue
                rest = [neuron for neuron in range(len(own)) if neuron not in chosen]
                assert torch.equal(own[chosen], theirs[chosen])
                assert torch.equal(own[rest], before[rest])
            if isinstance(now.key_bias, torch.Tensor):
                assert torch.equal(now.key_bias[chosen], given.key_bias[chosen])
                assert (now.key_bias != given.key_bias).any()
    only_values = plan_neuron_transplant(neurons, ["values"])
    with apply_plan(model, only_values, "all", donor=WeightDonor(other)):
        assert torch.equal(mlp_of(model, 0).keys, unchanged[0][0])
        assert torch.equal(mlp_of(model, 0).values[11], mlp_of(other, 0).values[11])


def test_the_rank_of_each_change_is_limited(gpt2, loaded):
    other = loaded("gpt2", "post")
    plan = plan_transplant(2, ["mlp"], None, rank=2)
    donor = WeightDonor(other)
    name = "transformer.h.1.mlp.c_proj"
    own, given = gpt2.get_submodule(name).weight.clone(), other.get_submodule(name).weight
    u, s, v = np.linalg.svd((given - own).double().numpy(), full_matrices=False)
    expected = own.double().numpy() + (u[:, :2] * s[:2]) @ v[:2]
    for _ in range(2):  # the second time from what the donor keeps
        with apply_plan(gpt2, plan, "all", donor=donor):
            now = gpt2.get_submodule(name)
            np.testing.assert_allclose(now.weight.numpy(), expected, atol=1e-6)
            assert torch.equal(now.bias, other.get_submodule(name).bias)
    assert torch.equal(gpt2.get_submodule(name).weight, own)


def test_half_of_the_way_is_the_mean(gpt2, loaded):
    other = loaded("gpt2", "post")
    own, given = gpt2.transformer.wte.weight.clone(), other.transformer.wte.weight
    with apply_plan(
        gpt2, plan_transplant(2, ["embedding"], dose=0.5), "all", donor=WeightDonor(other)
    ):
        torch.testing.assert_close(gpt2.transformer.wte.weight, (own + given) / 2)


def test_a_folded_transplant_is_the_other_model(model, other):
    folded = copy.deepcopy(model)
    fold_plan(folded, plan_transplant(count(model), None), None, WeightDonor(other))
    assert same_state(other, state_of(folded))
    folded = copy.deepcopy(model)
    plan = plan_transplant(count(model), ["attention"], rank=1)
    fold_plan(folded, plan, None, WeightDonor(other))
    with apply_plan(model, plan, "all", donor=WeightDonor(other)):
        assert torch.equal(forward(folded, IDS)["logits"], forward(model, IDS)["logits"])


def another(**settings):
    config = small_config("llama")
    for key, value in settings.items():
        setattr(config, key, value)
    model = AutoModelForCausalLM.from_config(config)
    randomise(model, 0.3)
    return model.train(False).requires_grad_(False)


@pytest.mark.parametrize("more", ["first", "second"])
def test_of_two_vocabularies_the_common_part_is_put_in(more):
    sizes = {"first": (50, 40), "second": (40, 50)}[more]
    model, other = (another(vocab_size=size) for size in sizes)
    state = state_of(model)
    with apply_plan(model, plan_transplant(3, None), "all", donor=WeightDonor(other)):
        seen = forward(model, IDS)["logits"][..., :40]
    torch.testing.assert_close(seen, forward(other, IDS)["logits"][..., :40])
    assert same_state(model, state)


def test_a_tied_embedding_takes_one_that_is_tied_too_and_no_other():
    model, other = another(tie_word_embeddings=True), another(tie_word_embeddings=True)
    with apply_plan(model, plan_transplant(3, None), "all", donor=WeightDonor(other)):
        assert torch.equal(forward(model, IDS)["logits"], forward(other, IDS)["logits"])
    untied, state = another(), state_of(model)
    words = "in which they are one matrix, and the other has two; leave embedding out"
    with (
        pytest.raises(InputError, match=words),
        apply_plan(model, plan_transplant(3, None), "all", donor=WeightDonor(untied)),
    ):
        pass
    assert same_state(model, state)
    with apply_plan(untied, plan_transplant(3, None), "all", donor=WeightDonor(model)):
        assert torch.equal(forward(untied, IDS)["logits"], forward(model, IDS)["logits"])


def test_a_tensor_that_one_checkpoint_lacks_is_named():
    model, other = another(), another(attention_bias=True)
    words = "takes model.layers.0.self_attn.k_proj.bias, which only one of the two"
    with (
        pytest.raises(InputError, match=words),
        apply_plan(model, plan_transplant(3, ["attention"]), "all", donor=WeightDonor(other)),
    ):
        pass
    with apply_plan(model, plan_transplant(3, ["mlp"]), "all", donor=WeightDonor(other)):
        pass


def count(model):
    return len(stack(model))


def clone(tensor):
    return None if tensor is None else tensor.clone()


def mlp_modules(model, layer):
    """The modules of a layer's MLP that hold weights."""
    mlp, block = mlp_of(model, layer), stack(model)[layer]
    gated = [block.mlp.up_proj] if hasattr(getattr(block, "mlp", None), "up_proj") else []
    return [mlp.reader, mlp.down, *gated]
