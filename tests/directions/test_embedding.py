"""Mean token vectors of words, compared with the loaded model's head; the program."""

import json
import shlex

import numpy as np
import pytest
from safetensors import safe_open
from support.byte_tokenizers import byte_level, sentence_pieces
from support.workflow import program

from dpo_neurons.directions.direction_files import read_direction
from dpo_neurons.directions.embedding import average_words, read_words, tokenize_words
from dpo_neurons.errors import InputError
from dpo_neurons.models.unembedding import Unembedding


def head_of(model):
    return model.get_output_embeddings().weight.detach().double().numpy()


def test_tokens_of_a_word_are_averaged_before_words_are(checkpoints, architecture, model, tmp_path):
    head = head_of(model)
    ids = {"one": [5, 9, 9], "two": [7]}
    expected = ((head[5] + 2 * head[9]) / 3 + head[7]) / 2
    actual = average_words(Unembedding(checkpoints[architecture, "pre"]), ids)
    np.testing.assert_allclose(actual, expected, atol=1e-7)


def test_words_are_taken_as_given_and_without_special_tokens(tmp_path):
    bpe = byte_level()
    actual = tokenize_words(bpe, ["damn", " damn"], tmp_path, "words")
    assert bpe.convert_ids_to_tokens(actual[" damn"]) == ["Ġdamn"]
    assert "".join(bpe.convert_ids_to_tokens(actual["damn"])) == "damn"
    prefixed = sentence_pieces(prefix=True)
    assert prefixed.convert_ids_to_tokens(
        tokenize_words(prefixed, ["damn"], tmp_path, "words")["damn"]
    ) == ["▁damn"]


def test_special_tokens_that_a_tokenizer_adds_are_left_out(tokenizer, tmp_path):
    from tokenizers.processors import TemplateProcessing

    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{tokenizer.bos_token} $A", special_tokens=[(tokenizer.bos_token, 2)]
    )
    assert tokenizer("w4")["input_ids"] == [2, 7]
    assert tokenize_words(tokenizer, ["w4"], tmp_path, "words") == {"w4": [7]}


@pytest.mark.parametrize("word", ["", " ", "damn", "w1 damn"])
def test_a_word_that_the_tokenizer_does_not_know_is_named(tokenizer, tmp_path, word):
    with pytest.raises(InputError, match="neutral_words: ") as caught:
        tokenize_words(tokenizer, ["w1", word], tmp_path, "neutral_words")
    assert repr(word) in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_token_without_a_vector_is_named(checkpoints):
    with pytest.raises(InputError, match="'new' has token 40, but the model has vectors for 40"):
        average_words(Unembedding(checkpoints["gpt2", "pre"]), {"new": [3, 40]})


def test_words_of_a_file_are_its_lines_spaces_included(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text(" fool\n\noaf\n  \nqué", encoding="utf-8")
    assert read_words(path) == [" fool", "oaf", "qué"]
    path.write_text("\n \n")
    with pytest.raises(InputError, match=r"words\.txt: holds no word; write one a line"):
        read_words(path)
    path.write_bytes(b"\xff\n")
    with pytest.raises(InputError, match=r"words\.txt: cannot be read as text in UTF-8"):
        read_words(path)


def compute(checkpoint, output, words, neutral_words):
    return program(
        "compute_embedding_direction",
        f"--checkpoint {checkpoint} --words {shlex.join(words)} --threads 1"
        f" --neutral-words {shlex.join(neutral_words)} --output {output}",
    )


@pytest.mark.slow
def test_the_program_writes_the_difference_and_how_it_was_made(checkpoints, loaded, tmp_path):
    checkpoint, output = checkpoints["llama", "pre"], tmp_path / "d.safetensors"
    result = compute(checkpoint, output, ["w1", "w5 w6"], ["w9"])
    assert result.returncode == 0, result.stdout
    head = head_of(loaded("llama"))
    # Word w0 has id 3.
    expected = (head[4] + (head[8] + head[9]) / 2) / 2 - head[12]
    np.testing.assert_allclose(
        read_direction(output), [expected / np.linalg.norm(expected)], atol=1e-6
    )
    with safe_open(output, framework="np") as tensors:
        how = tensors.metadata()
    assert how["kind"] == "embedding"
    assert json.loads(how["words"]) == ["w1", "w5 w6"]
    assert json.loads(how["neutral_words"]) == ["w9"]
    assert json.loads(how["tokens"]) == {
        "w1": ["'w1'"], "w5 w6": ["'w5'", "'w6'"], "w9": ["'w9'"],
    }  # fmt: skip


@pytest.mark.slow
def test_words_that_differ_in_nothing_have_no_direction(checkpoints, tmp_path):
    result = compute(checkpoints["llama", "pre"], tmp_path / "out" / "d", ["w1"], ["w1"])
    assert result.returncode == 1
    last = result.stdout.splitlines()[-1]
    assert last.startswith("Error: directions.…: words minus neutral_words: a vector is zero")
    assert not (tmp_path / "out").exists()
