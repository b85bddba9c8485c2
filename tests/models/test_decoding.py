"""Greedy continuations, compared with steps by hand and with transformers' generation."""

import itertools
import json
import shutil

import numpy as np
import pytest
import torch
from support.by_hand import continue_alone, forward
from support.tiny_models import PROMPTS, small_config
from transformers import AutoModelForCausalLM, GenerationConfig

from dpo_neurons.errors import BrokenModelError
from dpo_neurons.models import decoding, generation
from dpo_neurons.models.decoding import end_tokens, read_answers
from dpo_neurons.models.generation import generate_greedily
from dpo_neurons.models.loading import load_model

N_TOKENS = 8


def generated(model, tokenizer, batch_size, prompts=PROMPTS):
    batches = list(generate_greedily(model, tokenizer, prompts, N_TOKENS, batch_size))
    tokens = np.concatenate([batch.tokens for batch in batches])
    return tokens, np.concatenate([batch.mask for batch in batches]), batches


def test_every_token_is_the_most_likely_after_its_prompt_alone(model, tokenizer):
    alone = [continue_alone(model, tokenizer, prompt, N_TOKENS)[1] for prompt in PROMPTS]
    for batch_size in (1, 2, 16):
        tokens, mask, batches = generated(model, tokenizer, batch_size)
        assert [batch.start for batch in batches] == list(range(0, len(PROMPTS), batch_size))
        for row, written in enumerate(alone):
            ended = written[-1] in end_tokens(model)
            assert tokens[row, : len(written)].tolist() == written
            assert mask[row].sum() == len(written) - ended


def test_batches_are_limited_by_their_tokens_unless_a_size_is_asked_for(
    gpt2, tokenizer, monkeypatch
):
    # With continuations the prompts have 10, 9, 14, 11 and 12 tokens.
    monkeypatch.setattr(generation, "CONTINUED_ON_CPU", 24)
    tokens, mask, batches = generated(gpt2, tokenizer, "auto")
    together, mask_together, (batch,) = generated(gpt2, tokenizer, 16)
    assert [batch.start for batch in batches] == [0, 2, 3]
    assert batch.start == 0
    np.testing.assert_array_equal(tokens, together)
    np.testing.assert_array_equal(mask, mask_together)


def test_given_answers_are_read_as_if_written(model, tokenizer):
    answers = torch.tensor([[5, 6, 7], [8, 9, 10], [4, 4, 11]])
    prompts = PROMPTS[: len(answers)]
    batch = tokenizer(list(prompts), padding=True, return_tensors="pt")
    read = read_answers(model, batch["input_ids"], batch["attention_mask"], answers)
    assert read.shape[:2] == answers.shape
    for row, prompt in enumerate(prompts):
        ids = tokenizer(prompt)["input_ids"]
        whole = forward(model, [ids + answers[row].tolist()])["logits"][0]
        np.testing.assert_allclose(read[row], whole[len(ids) - 1 :][:3], atol=2e-4)


def test_the_order_of_the_prompts_is_kept(gpt2, tokenizer):
    forwards, _, _ = generated(gpt2, tokenizer, 2)
    backwards, _, _ = generated(gpt2, tokenizer, 2, PROMPTS[::-1])
    np.testing.assert_array_equal(forwards, backwards[::-1])
    assert len(np.unique(forwards, axis=0)) > 1


@pytest.mark.parametrize("where", ["generation_config.json", "config.json"])
def test_decoding_defaults_of_the_checkpoint_are_ignored(
    checkpoints, gpt2, tokenizer, tmp_path, where
):
    checkpoint = shutil.copytree(checkpoints["gpt2", "pre"], tmp_path / "sampling")
    settings = json.loads((checkpoint / where).read_text())
    settings |= {
        "do_sample": True, "temperature": 5.0, "top_k": 3, "repetition_penalty": 3.0,
        "no_repeat_ngram_size": 1, "min_new_tokens": 5, "max_length": 9, "num_beams": 2,
        "forced_eos_token_id": 4, "suppress_tokens": [5, 6, 7, 8],
    }  # fmt: skip
    (checkpoint / where).write_text(json.dumps(settings))
    sampling = load_model(checkpoint, "float32", "cpu")
    np.testing.assert_array_equal(
        generated(sampling, tokenizer, 4)[0], generated(gpt2, tokenizer, 4)[0]
    )


def test_any_of_several_end_tokens_ends_a_sequence(model, tokenizer, monkeypatch):
    monkeypatch.setattr(model.generation_config, "eos_token_id", None)
    free = [continue_alone(model, tokenizer, prompt, N_TOKENS)[1] for prompt in PROMPTS]
    ends = [free[0][3], free[1][2]]
    monkeypatch.setattr(model.generation_config, "eos_token_id", ends)
    tokens, mask, _ = generated(model, tokenizer, 16)
    for row, written in enumerate(free):
        first = next((i for i, token in enumerate(written) if token in ends), N_TOKENS)
        assert mask[row].tolist() == [i < first for i in range(N_TOKENS)]
        assert tokens[row, :first].tolist() == written[:first]
        assert set(tokens[row, first + 1 :]) <= {tokenizer.pad_token_id}


def test_a_model_without_end_tokens_writes_on(gpt2, tokenizer, monkeypatch):
    monkeypatch.setattr(gpt2.generation_config, "eos_token_id", None)
    assert end_tokens(gpt2) == []
    assert generated(gpt2, tokenizer, 16)[1].all()


def test_batches_that_end_early_are_padded_to_full_width(gpt2, tokenizer, monkeypatch):
    _, written = continue_alone(gpt2, tokenizer, PROMPTS[0], 1)
    monkeypatch.setattr(gpt2.generation_config, "eos_token_id", written[0])
    tokens, mask, _ = generated(gpt2, tokenizer, 1, PROMPTS[:1])
    assert tokens.tolist() == [[written[0]] + [tokenizer.pad_token_id] * (N_TOKENS - 1)]
    assert not mask.any()


@pytest.mark.parametrize("tokens_between", [3, 99])
def test_texts_are_the_same_however_often_decoding_looks_for_their_end(
    gpt2, tokenizer, monkeypatch, tokens_between
):
    _, written = continue_alone(gpt2, tokenizer, PROMPTS[1], N_TOKENS)
    assert written[0] != written[1]
    monkeypatch.setattr(gpt2.generation_config, "eos_token_id", written[1])
    passes = []
    hook = gpt2.register_forward_hook(lambda module, inputs, output: passes.append(output))
    try:
        tokens, mask, _ = generated(gpt2, tokenizer, 1, PROMPTS[1:2])
        assert len(passes) == 2
        monkeypatch.setitem(decoding.TOKENS_BETWEEN_LOOKS, "cpu", tokens_between)
        passes.clear()
        seldom = generated(gpt2, tokenizer, 1, PROMPTS[1:2])
        assert len(passes) == min(tokens_between, N_TOKENS)
    finally:
        hook.remove()
    np.testing.assert_array_equal(seldom[0], tokens)
    np.testing.assert_array_equal(seldom[1], mask)


LONG_PROMPTS = [*PROMPTS, *(f"w{n} " * n + "w9" for n in range(3, 14))]
"""Sixteen, of 1 to 14 tokens: longer than a sliding window of 5."""


def generated_by_transformers(model, tokenizer, prompts, ends):
    """The new tokens of one batch, by `generate`."""
    batch = tokenizer(prompts, padding=True, return_tensors="pt")
    plain = GenerationConfig(
        max_new_tokens=N_TOKENS,
        do_sample=False,
        num_beams=1,
        eos_token_id=ends,
        pad_token_id=tokenizer.pad_token_id,
    )
    output = model.generate(**batch, generation_config=plain)
    return output[:, batch["input_ids"].shape[1] :].numpy()


@pytest.mark.every_architecture
@pytest.mark.parametrize("window", [None, 5], ids=["whole", "window"])
@pytest.mark.parametrize("ends", [None, [2], [2, 7, 11, 30]], ids=["endless", "one", "several"])
@pytest.mark.parametrize("batch_size", [1, 16])
def test_tokens_are_those_of_transformers(architecture, tokenizer, batch_size, ends, window):
    config = small_config(architecture)
    if window is not None:
        if not hasattr(config, "sliding_window"):
            pytest.skip("this architecture has no sliding window")
        config.sliding_window = window
    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    model.generation_config = GenerationConfig(
        eos_token_id=ends, do_sample=True, temperature=9.0, repetition_penalty=7.0, num_beams=3
    )
    tokens, _, batches = generated(model, tokenizer, batch_size, LONG_PROMPTS)
    # `generate` takes settings that are omitted here from the model's configuration.
    model.generation_config = GenerationConfig()
    assert len(np.unique(tokens)) > 3
    for batch in batches:
        prompts = LONG_PROMPTS[batch.start : batch.start + batch_size]
        theirs = generated_by_transformers(model, tokenizer, prompts, ends)
        np.testing.assert_array_equal(batch.tokens[:, : theirs.shape[1]], theirs)
        assert (batch.tokens[:, theirs.shape[1] :] == tokenizer.pad_token_id).all()


def test_bfloat16_chooses_the_first_of_equals_as_transformers_does(tokenizer):
    torch.manual_seed(6)
    narrow = AutoModelForCausalLM.from_config(small_config("gpt2"), dtype=torch.bfloat16).eval()
    theirs = generated_by_transformers(narrow, tokenizer, LONG_PROMPTS, None)
    narrow.generation_config = GenerationConfig(eos_token_id=None)
    np.testing.assert_array_equal(generated(narrow, tokenizer, 16, LONG_PROMPTS)[0], theirs)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("step", [0, 2])
def test_logits_that_are_no_numbers_end_the_generation(gpt2, tokenizer, monkeypatch, value, step):
    head = gpt2.lm_head.forward
    steps = itertools.count()

    def overflow(states):
        logits = head(states).clone()
        if next(steps) == step:
            logits[1, -1, 7] = value
        return logits

    monkeypatch.setattr(gpt2.lm_head, "forward", overflow)
    with pytest.raises(BrokenModelError, match="after prompt 1 of a batch are NaN or infinite"):
        list(generate_greedily(gpt2, tokenizer, ["w3 w4", "w5 w6", "w7 w8"], 4, 3))


def test_a_row_that_has_ended_may_hold_no_numbers(gpt2, tokenizer, monkeypatch):
    head = gpt2.lm_head.forward

    def end_then_overflow(states):
        logits = head(states).clone()
        logits[0, -1] = torch.nan if end_then_overflow.ended else logits[0, -1]
        if not end_then_overflow.ended:
            logits[0, -1, gpt2.generation_config.eos_token_id] = 1e4
        end_then_overflow.ended = True
        return logits

    end_then_overflow.ended = False
    monkeypatch.setattr(gpt2.lm_head, "forward", end_then_overflow)
    (batch,) = generate_greedily(gpt2, tokenizer, ["w3 w4", "w5 w6"], 4, 2)
    assert batch.mask[0].sum() == 0
