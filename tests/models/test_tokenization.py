"""How texts become ids: begun once, never ended, within the vocabulary; by hand."""

import logging

import numpy as np
import pytest
import torch
from support.by_hand import forward
from support.tiny_models import PROMPTS
from tokenizers import normalizers
from tokenizers.processors import TemplateProcessing

from dpo_neurons.directions.text_states import read_resid_post
from dpo_neurons.errors import InputError
from dpo_neurons.models import tokenization
from dpo_neurons.models.generation import generate_greedily
from dpo_neurons.models.perplexity import measure_perplexity
from dpo_neurons.models.tokenization import (
    check_ids,
    choose_padding,
    count_tokens,
    find_added_tokens,
    pad_rows,
    stop_appending,
    tokenize_texts,
)

END, PAD, UNKNOWN = 2, 0, 1
"""Ids of the word-level tokenizer's special tokens: the first begins texts as well."""
TEXT = "w1 w5 w9"
IDS = [4, 8, 12]


@pytest.fixture
def adding(tokenizer):
    """The tokenizer with a template: adding("<end> $A")."""

    def with_template(template):
        specials = [("<end>", END), ("<unk>", UNKNOWN)]
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=template, special_tokens=specials
        )
        return tokenizer

    return with_template


@pytest.mark.parametrize(
    ("template", "before", "after"),
    [
        ("$A", [], []),
        ("<end> $A", [END], []),
        ("$A <end>", [], [END]),
        ("<end> $A <end>", [END], [END]),
        ("<unk> <end> $A <unk>", [UNKNOWN, END], [UNKNOWN]),
    ],
)
def test_what_is_added_before_is_told_from_what_is_appended(adding, template, before, after):
    tokenizer = adding(template)
    assert find_added_tokens(tokenizer) == (before, after)
    assert tokenizer(TEXT)["input_ids"] == [*before, *IDS, *after]
    assert tokenize_texts(tokenizer, [TEXT, "w0"]) == [[*before, *IDS], [*before, 3]]
    assert count_tokens(tokenizer, [TEXT]) == [len(before) + 3]


@pytest.mark.parametrize("template", ["$A", "<end> $A"])
def test_a_text_of_which_no_token_is_made_is_named(adding, model, template):
    tokenizer = adding(template)
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("w9", "")
    with pytest.raises(InputError, match="makes no token of the text 'w9'; take it out"):
        list(generate_greedily(model, tokenizer, ["w1 w9", "w9"], 2, 2))


def test_a_text_that_begins_by_itself_gets_no_second_beginning(adding):
    tokenizer = adding("<end> $A")
    assert tokenizer(f"<end> {TEXT}")["input_ids"] == [END, END, *IDS]
    assert tokenize_texts(tokenizer, [TEXT, f"<end> {TEXT}"]) == [[END, *IDS]] * 2
    # Without one, a text's own stays.
    assert tokenize_texts(adding("$A"), [f"<end> {TEXT}"]) == [[END, *IDS]]


@pytest.mark.parametrize(
    "template", ["$A <end>", "<unk> $A <end>", "<end> $A <end>", "<end> $A", "$A"]
)
def test_a_tokenizer_stops_appending_and_goes_on_beginning(adding, template):
    tokenizer = adding(template)
    before, after = find_added_tokens(tokenizer)
    quiet = stop_appending(tokenizer)
    assert quiet(TEXT)["input_ids"] == [*before, *IDS]
    assert tokenizer(TEXT)["input_ids"] == [*before, *IDS, *after]


def test_both_are_said_once(adding, caplog):
    tokenization._say_once.cache_clear()
    caplog.set_level(logging.INFO)
    tokenizer = adding("<end> $A <unk>")
    for _ in range(3):
        tokenize_texts(tokenizer, [f"<end> {TEXT}"])
    said = [record.message for record in caplog.records if record.name == "dpo_neurons"]
    assert said == [
        "the tokenizer ends texts with '<unknown>', which is left out",
        "texts that begin with '<end>' get no second one",
    ]


def test_other_normalisation_is_no_added_token(tokenizer):
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    assert find_added_tokens(tokenizer) == ([], [])
    assert tokenize_texts(tokenizer, ["W1 w5 W9"]) == [IDS]


@pytest.mark.parametrize("side", ["left", "right"])
def test_rows_are_padded(side):
    ids, mask = pad_rows([[5, 6, 7], [8]], 9, side)
    short = ([9, 9, 8], [0, 0, 1]) if side == "left" else ([8, 9, 9], [1, 0, 0])
    assert ids.tolist() == [[5, 6, 7], short[0]]
    assert mask.tolist() == [[1, 1, 1], short[1]]


def test_padding_is_a_token_that_the_model_has(tokenizer):
    assert choose_padding(tokenizer, 40) == PAD
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    assert tokenizer.pad_token_id == 40
    assert choose_padding(tokenizer, 41) == 40
    assert choose_padding(tokenizer, 40) == END
    assert choose_padding(tokenizer, 2) == 0


@pytest.fixture
def appended(adding):
    """Texts end with the end token, which begins none: what decides must not be guessed from it."""
    return adding("$A <end>")


def test_what_runs_a_model_reads_the_same_whatever_is_appended_or_padded(gpt2, appended, adding):
    """Generation, perplexity and the probe's stream, against the plain tokenizer."""

    def everything(tokenizer):
        batches = list(generate_greedily(gpt2, tokenizer, PROMPTS, 4, 2, progress=None))
        perplexity = measure_perplexity(gpt2, tokenizer, PROMPTS * 3, 7, 2)
        stream = read_resid_post(gpt2, tokenizer, PROMPTS, 2)
        tokens = np.concatenate([np.where(b.mask, b.tokens, -1) for b in batches])
        return tokens, perplexity.losses, stream

    changed = everything(appended)
    appended.add_special_tokens({"pad_token": "[PAD]"})
    padded = everything(appended)
    plain = everything(adding("$A"))
    for one, other, expected in zip(changed, padded, plain, strict=True):
        np.testing.assert_array_equal(one, expected)
        np.testing.assert_allclose(other, expected, rtol=1e-5)


def test_a_perplexity_text_that_begins_by_itself_is_scored_as_one_that_does_not(gpt2, adding):
    tokenizer = adding("<end> $A")
    plain = measure_perplexity(gpt2, tokenizer, PROMPTS, 7, 2)
    begun = measure_perplexity(gpt2, tokenizer, ["<end> " + PROMPTS[0], *PROMPTS[1:]], 7, 2)
    np.testing.assert_array_equal(begun.losses, plain.losses)


@pytest.fixture
def barred(gpt2, monkeypatch):
    """Bar what the model would choose first after a prompt; returns the prompt and that token."""
    logits = forward(gpt2, [IDS])["logits"][0, -1]
    first, second = logits.argsort(descending=True)[:2].tolist()
    monkeypatch.setattr(gpt2.generation_config, "suppress_tokens", [first])
    monkeypatch.setattr(gpt2.generation_config, "eos_token_id", None)
    return first, second


def test_a_token_that_the_other_checkpoint_lacks_is_never_chosen(gpt2, tokenizer, barred):
    first, second = barred
    (batch,) = generate_greedily(gpt2, tokenizer, [TEXT], 6, 1, progress=None)
    assert batch.tokens[0, 0] == second
    assert first not in batch.tokens


def test_perplexity_is_over_the_tokens_that_both_have(gpt2, tokenizer, barred):
    first, _ = barred
    words = [f"w{n}" for n in (4, 9, 30, 11, 2) if n + 3 != first]
    ids = [int(word[1:]) + 3 for word in words]
    logits = forward(gpt2, [ids])["logits"][0].double()
    logits[:, first] = -torch.inf
    chances = torch.log_softmax(logits, dim=-1)
    expected = -sum(float(chances[i, ids[i + 1]]) for i in range(len(ids) - 1))
    measured = measure_perplexity(gpt2, tokenizer, [" ".join(words)], 10, 1)
    np.testing.assert_allclose(measured.losses, [expected], rtol=1e-5)


@pytest.mark.parametrize("kind", ["beyond", "barred"])
def test_a_token_that_a_model_cannot_read_is_named_with_its_text(
    gpt2, tokenizer, monkeypatch, kind
):
    if kind == "beyond":
        tokenizer.add_tokens(["extra"])
        word, token = "extra", 40
    else:
        monkeypatch.setattr(gpt2.generation_config, "suppress_tokens", [8])
        word, token = "w5", 8
    reads = [
        lambda: list(generate_greedily(gpt2, tokenizer, [f"w1 {word}"], 3, 2)),
        lambda: measure_perplexity(gpt2, tokenizer, [f"w1 {word} w2"], 7, 2),
        lambda: read_resid_post(gpt2, tokenizer, [f"w1 {word}"], 2),
        lambda: check_ids(gpt2, tokenizer, [[4, token]]),
    ]
    for read in reads:
        with pytest.raises(InputError, match=rf"no vector for token {token}, '{word}'"):
            read()
