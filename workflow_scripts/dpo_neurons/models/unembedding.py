"""The unembedding of a checkpoint: a vector in the residual stream for each token."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from transformers import AutoConfig

from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import Architecture
from dpo_neurons.models.checkpoint_folder import read_architecture
from dpo_neurons.models.value_vectors import read_gain
from dpo_neurons.models.weight_reader import StoredWeights
from dpo_neurons.statistics.ranking import largest_indices

BLOCK_ROWS = 8192
"""Rows read at a time: 128 MiB of float32 for a residual stream of 4096."""


class Unembedding:
    """The unembedding matrix of a checkpoint, (vocabulary, d_model), read a piece at a time.

    It is what the model's head multiplies the normed residual stream with; where none is stored,
    the model's embedding is used for both. A head's bias is no part of it.
    Raises InputError if the checkpoint has none, or one that does not read the residual stream.
    """

    def __init__(self, checkpoint: Path) -> None:
        architecture = self._architecture = read_architecture(checkpoint)
        self.checkpoint = checkpoint
        self._stored = StoredWeights(checkpoint)
        self._name = _name_of_unembedding(self._stored, architecture)
        self.vocabulary, self.d_model = self._stored.shape(self._name)
        stream = _width_of_stream(self._stored, architecture)
        if self.d_model != stream:
            raise InputError(
                f"{checkpoint}: its token vectors are {self.d_model} wide, but its residual "
                f"stream is {stream} wide, with a projection between them, so tokens have no "
                "vectors in the stream; use another model of the architecture"
            )

    def rows(self, ids: list[int]) -> np.ndarray:
        """The vectors of some tokens, (n, d_model) float32."""
        return np.concatenate([self._stored.read_rows(self._name, i, i + 1) for i in ids])

    def iterate_products(
        self, vectors: np.ndarray, norm: Literal["final", "none"]
    ) -> Iterator[np.ndarray]:
        """Yield dot products of vectors, (n, d_model), with every token's vector.

        norm: "final" sends each vector through the final norm first, but for its division: its mean
        is subtracted where the norm is a LayerNorm, and it is multiplied with the norm's gain. The
        division and the norm's bias would change no order of tokens by what the vector adds.
        "none" takes vectors as they are.
        Yields (n, BLOCK_ROWS) float32, of as many tokens in the order of the vocabulary.
        Raises InputError if any product is not finite.
        """
        vectors = (self._fold_final_norm(vectors) if norm == "final" else vectors).astype("f4")
        for block in self._blocks():
            products = vectors @ block.T
            if not np.isfinite(products).all():
                raise InputError(
                    f"{self.checkpoint}: {self._name} holds NaN, infinite or huge numbers; fetch "
                    "or make the checkpoint again"
                )
            yield products

    def find_largest_products(
        self, vectors: np.ndarray, ids: Collection[int], count: int, norm: Literal["final", "none"]
    ) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Find the tokens, of `ids`, with which vectors, (n, d_model), have the largest products.

        The vocabulary is read a block at a time, of which only `count` tokens of each vector are
        kept. norm: as in `iterate_products`.
        Returns by sign, 1 and −1 for the vectors' negatives, ids and products, (n, count) each, the
        largest first.
        """
        known = np.zeros(self.vocabulary, dtype=bool)
        known[[token_id for token_id in ids if token_id < self.vocabulary]] = True
        blocks: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {1: [], -1: []}
        first = 0
        for products in self.iterate_products(vectors, norm):
            is_known = known[first : first + products.shape[1]]
            block_ids = first + np.flatnonzero(is_known)
            first += products.shape[1]
            for sign, of_sign in blocks.items():
                signed = sign * products[:, is_known]
                places = _largest_of_rows(signed, count)
                of_sign.append((block_ids[places], np.take_along_axis(signed, places, axis=1)))
        largest = {}
        for sign, of_sign in blocks.items():
            token_ids, signed = (np.concatenate(p, axis=1) for p in zip(*of_sign, strict=True))
            places = _largest_of_rows(signed, count)
            largest[sign] = (
                np.take_along_axis(token_ids, places, axis=1),
                np.take_along_axis(signed, places, axis=1),
            )
        return largest

    def _fold_final_norm(self, vectors: np.ndarray) -> np.ndarray:
        gain = read_gain(self._stored, self._architecture, self._architecture.final_norm)
        if gain is None:  # OPT-350m has no final norm
            return vectors
        if self._architecture.norms_centre:
            vectors = vectors - vectors.mean(axis=1, keepdims=True)
        folded: np.ndarray = vectors * gain
        return folded

    def _blocks(self) -> Iterator[np.ndarray]:
        for first in range(0, self.vocabulary, BLOCK_ROWS):
            last = min(first + BLOCK_ROWS, self.vocabulary)
            yield self._stored.read_rows(self._name, first, last)


def _largest_of_rows(values: np.ndarray, count: int) -> np.ndarray:
    return np.array([largest_indices(row, count) for row in values], dtype=int)


def _name_of_unembedding(stored: StoredWeights, architecture: Architecture) -> str:
    # GPT-NeoX's head has two names on disk: transformers now calls it as in other architectures.
    for path in (architecture.unembedding, "lm_head"):
        if name := stored.stored_name(f"{path}.weight"):
            return name
    name = stored.stored_name(f"{architecture.embedding}.weight")
    # Whether an architecture ties the two by default, only transformers knows.
    config = AutoConfig.from_pretrained(stored.checkpoint, local_files_only=True)
    if name is None or not config.tie_word_embeddings:
        raise InputError(
            f"{stored.checkpoint}: no unembedding in it, {architecture.unembedding}.weight; save "
            "the whole causal language model, not its body alone"
        )
    return name


def _width_of_stream(stored: StoredWeights, architecture: Architecture) -> int:
    name = stored.stored_name(f"{architecture.down_projection_of(0)}.weight")
    if name is None:
        raise InputError(
            f"{stored.checkpoint}: no down projection "
            f"{architecture.down_projection_of(0)}.weight in it; is the checkpoint complete?"
        )
    return stored.shape(name)[1 if architecture.neurons_in_rows else 0]
