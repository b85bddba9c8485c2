"""A pair's tokens: one tokenizer and vocabulary for both checkpoints, and one end of texts."""

import pytest
import torch
from support.by_hand import forward
from support.changed_checkpoints import change_json, change_tokenizer, template
from support.tiny_models import WORDS, randomise
from tokenizers import normalizers
from transformers import AutoModelForCausalLM

from dpo_neurons.checkpoints.pair import apply_pair, examine_pair
from dpo_neurons.checkpoints.word_tokenizer import build_tokenizer
from dpo_neurons.errors import InputError
from dpo_neurons.models.decoding import end_tokens
from dpo_neurons.models.generation import generate_greedily
from dpo_neurons.models.loading import load_model, load_tokenizer

pytest_plugins = ["support.copied_pair"]


def lower_case(tokenizer):
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()


@pytest.mark.parametrize("change", [template("<end> $A"), template("$A <end>"), lower_case])
def test_tokenizers_that_make_other_ids_are_said_and_the_first_ones_reads(pair, change):
    pre, post = pair()
    change_tokenizer(post, change)
    examined = examine_pair(pre, post)
    assert examined.notes[0].startswith("the tokenizers differ in ")
    assert examined.notes[-1] == "the tokenizer of pre reads the texts of both"
    assert examined.begins_with == []
    change_tokenizer(pre, template("<end> $A"))
    assert examine_pair(pre, post).begins_with == [2]


def test_ids_that_differ_are_shown(pair):
    pre, post = pair()
    change_tokenizer(post, template("<end> $A"))
    notes = examine_pair(pre, post).notes
    assert (
        "'the baker then' is 3 tokens to that of pre, from 1 to 1, and 4 to that of post"
        in (notes[1])
    )


def swapped(words):
    return [*words[:5], words[6], words[5], *words[7:]]


def test_another_vocabulary_is_refused(pair):
    pre, post = pair()
    build_tokenizer(swapped(WORDS)).save_pretrained(post)
    with pytest.raises(InputError, match=r"2 tokens differ; 5 is 'w3' here and 'w2' there") as told:
        examine_pair(pre, post)
    assert str(post) in str(told.value)
    assert "\n" not in str(told.value)


def test_a_vocabulary_beyond_the_models_rows_is_refused(pair):
    pre, post = pair()
    for folder in (pre, post):
        build_tokenizer([*WORDS, "more"]).save_pretrained(folder)
    with pytest.raises(InputError, match=r"vectors for 40 tokens, but .* such as 40, 'more'"):
        examine_pair(pre, post)


def test_an_added_token_is_said(pair):
    pre, post = pair()
    change_tokenizer(post, lambda t: t.add_special_tokens({"pad_token": "[PAD]"}))
    notes = examine_pair(pre, post).notes
    assert notes[0] == "the tokenizer of post alone has 1 tokens, such as '[PAD]'"


ENDS = {
    "tokenizer": lambda folder: change_tokenizer(folder, lambda t: setattr(t, "eos_token", "w7")),
    "config.json": lambda folder: change_json(folder / "config.json", eos_token_id=10),
    "generation_config.json": lambda folder: change_json(
        folder / "generation_config.json", eos_token_id=[10]
    ),
}


@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize("source", ENDS)
def test_a_text_ends_at_any_token_that_any_file_names(pair, source, stage, checkpoints):
    folders = pair()
    ENDS[source](folders[stage])
    examined = examine_pair(*folders)
    assert examined.end_tokens == [2, 10]
    assert examined.end_tokens_by_source[("pre", "post")[stage]][source] == [10]
    (note,) = (note for note in examined.notes if note.startswith("end tokens differ"))
    assert f"[10] by {source} of {('pre', 'post')[stage]}" in note
    for folder in folders:
        model = load_model(folder, "float32", "cpu")
        apply_pair(model, examined)
        assert end_tokens(model) == [2, 10]


def test_a_text_ends_where_only_the_other_checkpoint_says_so(pair):
    """The README of the fault: what follows the end must not count."""
    pre, post = pair()
    model, tokenizer = load_model(post, "float32", "cpu"), load_tokenizer(pre)
    (free,) = generate_greedily(model, tokenizer, ["w1 w5"], 6, 1, progress=None)
    assert free.mask.all()
    end = int(free.tokens[0, 2])
    change_json(pre / "generation_config.json", eos_token_id=end)
    apply_pair(model, examine_pair(pre, post))
    (ended,) = generate_greedily(model, tokenizer, ["w1 w5"], 6, 1, progress=None)
    first = free.tokens[0].tolist().index(end)
    assert ended.mask[0].tolist() == [place < first for place in range(6)]


def test_end_tokens_that_are_none_are_said(pair):
    pre, post = pair()
    for folder in (pre, post):
        change_json(folder / "config.json", eos_token_id=None)
        change_json(folder / "generation_config.json", eos_token_id=None)
        change_tokenizer(folder, lambda t: setattr(t, "eos_token", None))
    examined = examine_pair(pre, post)
    assert examined.end_tokens == []
    assert examined.notes == ["no file names a token that ends texts, so texts never end early"]
    model = load_model(pre, "float32", "cpu")
    apply_pair(model, examined)
    assert end_tokens(model) == []


@pytest.mark.parametrize("value", ["</s>", 2.5, True, [2, "3"], -1])
def test_end_tokens_that_are_no_ids_are_refused(pair, value):
    pre, post = pair()
    change_json(post / "generation_config.json", eos_token_id=value)
    with pytest.raises(InputError, match=r"generation_config\.json: eos_token_id is"):
        examine_pair(pre, post)


def resize(folder, rows):
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(rows)
    randomise(model.get_input_embeddings(), 0.3)
    randomise(model.get_output_embeddings(), 0.3)
    with torch.no_grad():  # so large that some extra row is the model's choice
        model.get_output_embeddings().weight[40:] *= 30
    model.save_pretrained(folder)


@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("architecture", ["gpt2", "llama", "gpt_neox"])
def test_of_a_resized_vocabulary_the_common_tokens_are_chosen_from(pair, architecture, tied, stage):
    folders = pair(architecture)
    for folder in folders:
        if tied:
            change_json(folder / "config.json", tie_word_embeddings=True)
    resize(folders[stage], 60)
    examined = examine_pair(*folders)
    assert examined.vocabulary == 40
    assert sorted(examined.tokens.values()) == [40, 60]
    assert any("choose among the 40 that both have" in note for note in examined.notes)
    model, tokenizer = load_model(folders[stage], "float32", "cpu"), load_tokenizer(folders[0])
    free = [
        batch.tokens
        for batch in generate_greedily(model, tokenizer, ["w1 w5", "w9"], 8, 2, progress=None)
    ]
    assert max(tokens.max() for tokens in free) >= 40  # else nothing is tested
    apply_pair(model, examined)
    ids, written = [4, 8], []
    for _ in range(8):
        logits = forward(model, [[*ids, *written]])["logits"][0, -1, :40]
        written.append(int(logits.argmax()))
        if written[-1] == 2:
            break
    (batch, *_) = generate_greedily(model, tokenizer, ["w1 w5"], 8, 1, progress=None)
    assert batch.tokens[0, : len(written)].tolist() == written


def test_an_end_token_among_the_extra_rows_may_be_chosen(pair):
    pre, post = pair()
    resize(post, 45)
    change_json(post / "generation_config.json", eos_token_id=[2, 44])
    examined = examine_pair(pre, post)
    model = load_model(post, "float32", "cpu")
    apply_pair(model, examined)
    assert model.generation_config.suppress_tokens == [40, 41, 42, 43]
