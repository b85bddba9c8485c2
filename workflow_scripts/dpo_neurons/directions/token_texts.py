"""What single tokens of a vocabulary stand for, as text for a table."""

import re

from transformers import PreTrainedTokenizerBase

WORD_START = "▁"
"""SentencePiece's sign for a space."""
BYTE_SPACE = "Ġ"
"""A space in the alphabet of byte-level BPE, which spells each byte with a printable character."""
BYTE_PIECE = re.compile("<0x([0-9A-F]{2})>")
"""SentencePiece's spelling of a single byte."""


class TokenTexts:
    """The texts of a tokenizer's tokens, by id.

    They are read from the vocabulary, for decoding a single token can lose its leading space or
    its bytes.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        vocabulary = tokenizer.get_vocab()
        self._pieces = {token_id: piece for piece, token_id in vocabulary.items()}
        self._added = set(tokenizer.added_tokens_decoder)
        self._sentence_pieces = WORD_START in vocabulary
        self._byte_level = BYTE_SPACE in vocabulary

    def ids(self) -> list[int]:
        """The ids that the tokenizer knows, in order; a model's vocabulary may be padded."""
        return sorted(self._pieces)

    def quote(self, token_id: int) -> str:
        r"""Write a token in quotes, on one line.

        Examples: ' damn', '\n', '\xe2\x80' for bytes that are no text.
        """
        text = self._text(token_id)
        quote = '"' if "'" in text and '"' not in text else "'"
        return quote + "".join(_escape(character, quote) for character in text) + quote

    def _text(self, token_id: int) -> str:
        """The text of a token; bytes that are no text are lone surrogates in it."""
        piece = self._pieces[token_id]
        if self._sentence_pieces:  # asked first: such a vocabulary may have the letter Ġ too
            if byte := BYTE_PIECE.fullmatch(piece):
                return _decode(bytes([int(byte[1], 16)]))
            return piece.replace(WORD_START, " ")
        if self._byte_level and token_id not in self._added and set(piece) <= BYTES.keys():
            return _decode(bytes(BYTES[character] for character in piece))
        return piece


def _byte_alphabet() -> dict[str, int]:
    """The alphabet of byte-level BPE: the byte that each character spells.

    Printable Latin-1 characters spell themselves; characters from U+0100 on spell the other bytes.
    """
    themselves = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in themselves]
    return {chr(byte): byte for byte in themselves} | {
        chr(0x100 + position): byte for position, byte in enumerate(others)
    }


BYTES = _byte_alphabet()
"""The byte that each character of byte-level BPE's alphabet spells."""


def _decode(content: bytes) -> str:
    # Bytes that are no text become lone surrogates, which _escape shows.
    return content.decode("utf-8", errors="surrogateescape")


def _escape(character: str, quote: str) -> str:
    """A character as it stands between these quotes, escaped if it cannot be seen."""
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    if character in (quote, "\\"):
        return f"\\{character}"
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()
