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

    norm: as in `Unembedding.iterate_products`. Ids that the tokenizer does not know are left out.
    Returns the PROMOTED_COLUMNS, lists of `count` tokens in quotes, most strongly first.
    """
    largest = unembedding.find_largest_products(vectors, texts.ids(), count, norm)
    quoted = [
        [[texts.quote(int(token_id)) for token_id in row] for row in largest[sign][0]]
        for sign in (1, -1)
    ]
    return pd.DataFrame(dict(zip(PROMOTED_COLUMNS, quoted, strict=True)))
