"""What single tokens of a vocabulary stand for, as text that can be read in a table."""

import re

from transformers import PreTrainedTokenizerBase

WORD_START = "▁"
"""SentencePiece's sign for a space."""
BYTE_SPACE = "Ġ"
"""A space in the alphabet of byte-level BPE, which spells each byte with a printable character."""
BYTE_PIECE = re.compile("<0x([0-9A-F]{2})>")


class TokenTexts:
    """The texts of a tokenizer's tokens, by id.

    Decoding a single token would lose its leading space or its bytes, so its piece of the
    vocabulary is read instead.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        vocabulary = tokenizer.get_vocab()
        self._pieces = {number: piece for piece, number in vocabulary.items()}
        self._added = set(tokenizer.added_tokens_decoder)
        self._sentence_pieces = WORD_START in vocabulary
        self._byte_level = BYTE_SPACE in vocabulary

    def ids(self) -> list[int]:
        """The ids that the tokenizer knows, in order; a model's vocabulary may be padded."""
        return sorted(self._pieces)

    def quoted(self, number: int) -> str:
        """A token in quotes, one line: ' damn', '\\n', '\\xe2\\x80' for bytes that are no text."""
        text = self._text(number)
        quote = '"' if "'" in text and '"' not in text else "'"
        return quote + "".join(_visible(sign, quote) for sign in text) + quote

    def _text(self, number: int) -> str:
        piece = self._pieces[number]
        if self._sentence_pieces:  # asked first: such a vocabulary may have the letter Ġ too
            if byte := BYTE_PIECE.fullmatch(piece):
                return _decoded(bytes([int(byte[1], 16)]))
            return piece.replace(WORD_START, " ")
        if self._byte_level and number not in self._added and set(piece) <= BYTES.keys():
            return _decoded(bytes(BYTES[sign] for sign in piece))
        return piece


def _byte_alphabet() -> dict[str, int]:
    # Printable Latin-1 characters spell themselves; the other bytes follow from U+0100 on.
    themselves = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in themselves]
    return {chr(byte): byte for byte in themselves} | {
        chr(0x100 + position): byte for position, byte in enumerate(others)
    }


BYTES = _byte_alphabet()


def _decoded(content: bytes) -> str:
    # Bytes that are no text become lone surrogates, which _visible shows.
    return content.decode("utf-8", errors="surrogateescape")


def _visible(sign: str, quote: str) -> str:
    if "\udc80" <= sign <= "\udcff":
        return f"\\x{ord(sign) - 0xDC00:02x}"
    if sign in (quote, "\\"):
        return f"\\{sign}"
    return sign if sign.isprintable() else sign.encode("unicode_escape").decode()
