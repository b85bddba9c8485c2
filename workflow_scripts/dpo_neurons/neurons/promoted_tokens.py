"""What neurons promote: the tokens that their written vectors promote by the logit lens.

Written vectors are those of `models/value_vectors`; the lens is that of `directions/logit_lens`.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from dpo_neurons.directions.token_texts import TokenTexts
from dpo_neurons.models.unembedding import Unembedding
from dpo_neurons.models.value_vectors import iterate_written_vectors
from dpo_neurons.neurons.largest_neurons import PROMOTED_COLUMNS
from dpo_neurons.statistics.ranking import largest_indices


def read_written_vectors(checkpoint: Path, neurons: pd.DataFrame) -> np.ndarray:
    """Read the written vectors of some neurons, a layer at a time: (n, d_model) float32.

    neurons: columns layer and neuron.
    """
    layers, places = neurons["layer"].to_numpy(), neurons["neuron"].to_numpy()
    vectors = np.zeros(0)
    for layer, (written, _) in enumerate(iterate_written_vectors(checkpoint)):
        if layer == 0:
            vectors = np.zeros((len(neurons), written.shape[1]), dtype=np.float32)
        here = layers == layer
        vectors[here] = written[places[here]]
    return vectors


def find_promoted_tokens(
    vectors: np.ndarray,
    unembedding: Unembedding,
    texts: TokenTexts,
    count: int,
    norm: Literal["final", "none"],
) -> pd.DataFrame:
    """Find the tokens that each vector, (n, d_model), promotes and suppresses most.

    norm: as in `Unembedding.products`. Ids that the tokenizer does not know are left out. The
    vocabulary is read a block at a time, of which each vector keeps its largest `count` tokens.
    Returns the PROMOTED_COLUMNS, lists of `count` tokens in quotes, most strongly first.
    """
    known = np.zeros(unembedding.vocabulary, dtype=bool)
    known[[token_id for token_id in texts.ids() if token_id < unembedding.vocabulary]] = True
    candidates: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {1: [], -1: []}
    first = 0
    for products in unembedding.iterate_products(vectors, norm):
        ids = first + np.flatnonzero(known[first : first + products.shape[1]])
        first += products.shape[1]
        of_known = products[:, known[first - products.shape[1] : first]]
        for sign, parts in candidates.items():
            places = _largest_of_rows(sign * of_known, count)
            parts.append((ids[places], np.take_along_axis(sign * of_known, places, axis=1)))
    tokens = []
    for parts in candidates.values():
        ids, products = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
        best = np.take_along_axis(ids, _largest_of_rows(products, count), axis=1)
        tokens.append([[texts.quote(int(token_id)) for token_id in row] for row in best])
    return pd.DataFrame(dict(zip(PROMOTED_COLUMNS, tokens, strict=True)))


def _largest_of_rows(values: np.ndarray, count: int) -> np.ndarray:
    return np.array([largest_indices(row, count) for row in values], dtype=int)
