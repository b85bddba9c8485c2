"""Tokens as text in quotes, compared with the texts that were encoded."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.byte_tokenizers import byte_level, sentence_pieces
from tokenizers import pre_tokenizers

from dpo_neurons.directions.token_texts import BYTES, TokenTexts

TOKENIZERS = {
    "byte_level": byte_level(),
    "with_prefix": sentence_pieces(prefix=True),
    "without_prefix": sentence_pieces(prefix=False),
}


def bytes_of(quoted):
    """The bytes that a quoted token stands for; '\\x80' to '\\xff' are bytes, not characters."""
    # Characters first, because those of Latin-1 have the same escapes.
    escaped = re.sub(
        r"[^\x00-\x7f]",
        lambda match: "".join(f"\\x{byte:02x}" for byte in match[0].encode()),
        quoted,
    )
    return ast.literal_eval(f"b{escaped}")


READABLE = st.characters(exclude_categories=["C", "Z"], exclude_characters="▁")


@pytest.mark.parametrize("name", TOKENIZERS)
@given(text=st.text(READABLE | st.sampled_from(" \n\t'\"\\`|<>’“é"), min_size=1))
def test_tokens_of_a_text_add_up_to_its_bytes(name, text):
    prefix = b" " if name == "with_prefix" else b""
    assert b"".join(map(bytes_of, quoted(name, text))) == prefix + text.encode()


def quoted(name, text):
    tokenizer = TOKENIZERS[name]
    texts = TokenTexts(tokenizer)
    return [texts.quote(i) for i in tokenizer(text, add_special_tokens=False)["input_ids"]]


@pytest.mark.parametrize(
    ("name", "text", "tokens"),
    [
        ("byte_level", "the damn", ["'the'", "' damn'"]),
        ("byte_level", "\n'\"\\", ["'\\n'", '"\'"', "'\"'", r"'\\'"]),
        ("byte_level", "é\t", ["'é'", "'\\t'"]),
        ("byte_level", "😀", [r"'\xf0'", r"'\x9f'", r"'\x98'", r"'\x80'"]),
        ("byte_level", "<|endoftext|>", ["'<|endoftext|>'"]),
        ("byte_level", "Ġ|", ["'Ġ|'"]),
        ("with_prefix", "damn", ["' damn'"]),
        ("with_prefix", " damn", ["' '", "' damn'"]),
        ("without_prefix", " damn", ["' damn'"]),
        ("without_prefix", "\né", [r"'\n'", r"'\xc3'", r"'\xa9'"]),
        ("without_prefix", "Ġ", ["'Ġ'"]),
    ],
)
def test_spaces_line_ends_and_bytes_can_be_seen(name, text, tokens):
    assert quoted(name, text) == tokens


def test_every_byte_of_the_byte_level_alphabet_is_known():
    spelling = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for number in [*range(0x100), *range(0x100, 0x800, 7), *range(0x800, 0x10FFFF, 0x801)]:
        if not 0xD800 <= number < 0xE000:
            ((spelled, _),) = spelling.pre_tokenize_str(chr(number))
            assert bytes(BYTES[sign] for sign in spelled) == chr(number).encode()
    assert set(BYTES) == set(pre_tokenizers.ByteLevel.alphabet())


def test_words_are_taken_as_they_are(tokenizer):
    texts = TokenTexts(tokenizer)
    assert texts.ids() == list(range(40))
    assert texts.quote(5) == "'w2'"


def test_every_token_is_one_printable_line():
    for tokenizer in TOKENIZERS.values():
        texts = TokenTexts(tokenizer)
        shown = [texts.quote(number) for number in texts.ids()]
        assert all(one.isprintable() for one in shown)
        assert len(shown) == len(tokenizer)


def test_signs_that_nobody_can_see_are_spelled_out():
    tokenizer = byte_level()
    tokenizer.add_tokens(["\u200b\xa0\u202e", "it's", "'\"\\"])
    texts = TokenTexts(tokenizer)
    actual = [texts.quote(number) for number in texts.ids()[-3:]]
    assert actual == [r"'\u200b\xa0\u202e'", '"it\'s"', r"""'\'"\\'"""]
