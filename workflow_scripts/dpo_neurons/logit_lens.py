"""The logit lens: which tokens a vector in the residual stream speaks for."""

from pathlib import Path

import numpy as np
import pandas as pd

from dpo_neurons.aligned_values import AlignedValues, most_aligned
from dpo_neurons.ranking import largest
from dpo_neurons.token_texts import TokenTexts
from dpo_neurons.unembedding import Unembedding

COLUMNS = (
    "direction", "layer", "neuron", "cosine", "sign", "rank", "token_id", "token", "product",
)  # fmt: skip


def named_vectors(
    checkpoint: Path, directions: np.ndarray, count: int, directions_file: Path
) -> tuple[pd.DataFrame, np.ndarray]:
    """Each direction, unit rows (k, d_model), followed by the value vectors that lie along it.

    Up to `count` value vectors with the largest cosines come first, then up to `count` with the
    smallest, of which only those above and below zero. Returns their names, a row a vector
    (direction, counting from 1; layer and neuron, missing for the direction itself; cosine), and
    the vectors, (n, d_model).
    """
    both = np.concatenate([directions, -directions])
    aligned = [_along(one) for one in most_aligned(checkpoint, both, count, directions_file)]
    names, vectors = [], []
    for row, direction in enumerate(directions):
        names.append((row + 1, pd.NA, pd.NA, 1.0))
        vectors.append(direction[None])
        for side, found in ((1, aligned[row]), (-1, aligned[row + len(directions)])):
            named = zip(found.layers, found.neurons, side * found.cosines, strict=True)
            names.extend((row + 1, *name) for name in named)
            vectors.append(found.vectors)
    table = pd.DataFrame(names, columns=["direction", "layer", "neuron", "cosine"])
    return table.astype({"layer": "Int64", "neuron": "Int64"}), np.concatenate(vectors)


def lens_table(
    names: pd.DataFrame,
    vectors: np.ndarray,
    unembedding: Unembedding,
    texts: TokenTexts,
    count: int,
) -> pd.DataFrame:
    """The `count` tokens with the largest dot product with each vector, and with its negative.

    A row a token: its vector's name, the vector's sign, rank (from 1), token_id, token in quotes,
    and the dot product of the signed vector with the token's row of the unembedding. Ids that the
    tokenizer does not know, which pad some models' vocabularies, are left out.
    """
    known = np.array([number for number in texts.ids() if number < unembedding.vocabulary])
    products = unembedding.products(vectors)[:, known]
    rows = []
    for name, of_vector in zip(names.itertuples(index=False), products, strict=True):
        for sign, signed in (("+", of_vector), ("-", -of_vector)):
            for rank, place in enumerate(largest(signed, count), start=1):
                number = int(known[place])
                rows.append((*name, sign, rank, number, texts.quoted(number), signed[place]))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"layer": "Int64", "neuron": "Int64"})


def _along(found: AlignedValues) -> AlignedValues:
    kept = found.cosines > 0
    return AlignedValues(
        found.layers[kept], found.neurons[kept], found.cosines[kept], found.vectors[kept]
    )
