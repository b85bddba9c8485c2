"""The neurons with the largest reductions of either sign: tokens, activations, prompts.

What a neuron promotes is read from its written vector before fine-tuning (see
`models/value_vectors`) by the logit lens (see `directions/logit_lens`). Activations are means of a
prompt's counted tokens, of the text that each model writes itself.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.directions.token_texts import TokenTexts
from dpo_neurons.models.unembedding import Unembedding
from dpo_neurons.models.value_vectors import iterate_written_vectors
from dpo_neurons.statistics.ranking import largest_indices

NEURONS = 1000
"""Neurons of each sign."""
SAMPLED_PROMPTS = 100
"""Prompts of which both activations are kept, at even steps through all."""
CHANGED_PROMPTS = 5
"""Prompts of each neuron that are named because its activation changed most."""
PROMOTED_COLUMNS = ("promoted", "suppressed")
ACTIVATION_COLUMNS = (
    "sampled_prompts", "sampled_pre", "sampled_post",
    "changed_prompts", "changed_pre", "changed_post",
)  # fmt: skip
COLUMNS = (
    "layer", "neuron", "group_rank", "group_neurons", *PROMOTED_COLUMNS, *ACTIVATION_COLUMNS,
)  # fmt: skip


def choose_largest(contributions: pd.DataFrame) -> pd.DataFrame:
    """Choose the NEURONS with the largest reductions, and as many with the smallest, by rank.

    Adds group_rank, the place in the neuron's group by the size of its reduction, from 1, and
    group_neurons, how many the group has.
    """
    sizes = contributions["reduction"].abs().groupby(contributions["group"], observed=True)
    table = contributions.assign(
        group_rank=sizes.rank(method="first", ascending=False).astype(int),
        group_neurons=sizes.transform("size"),
    ).sort_values("rank")
    return pd.concat([table.head(NEURONS), table.tail(NEURONS)]).drop_duplicates("rank")


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
    vocabulary is read a block at a time, of which only `count` tokens of each vector are kept.
    Returns the PROMOTED_COLUMNS, lists of `count` tokens in quotes, most strongly first.
    """
    known = np.zeros(unembedding.vocabulary, dtype=bool)
    known[[token_id for token_id in texts.ids() if token_id < unembedding.vocabulary]] = True
    kept: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {1: [], -1: []}
    first = 0
    for products in unembedding.iterate_products(vectors, norm):
        ids = first + np.flatnonzero(known[first : first + products.shape[1]])
        first += products.shape[1]
        of_known = products[:, known[first - products.shape[1] : first]]
        for sign, parts in kept.items():
            places = _largest_of_rows(sign * of_known, count)
            parts.append((ids[places], np.take_along_axis(sign * of_known, places, axis=1)))
    found = []
    for parts in kept.values():
        ids, products = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
        best = np.take_along_axis(ids, _largest_of_rows(products, count), axis=1)
        found.append([[texts.quote(int(token_id)) for token_id in row] for row in best])
    return pd.DataFrame(dict(zip(PROMOTED_COLUMNS, found, strict=True)))


def _largest_of_rows(values: np.ndarray, count: int) -> np.ndarray:
    return np.array([largest_indices(row, count) for row in values], dtype=int)


def read_activations(neurons: pd.DataFrame, pre: h5py.File, post: h5py.File) -> pd.DataFrame:
    """Read activations of some neurons, prompt by prompt, a layer at a time.

    neurons: columns layer and neuron. pre, post: caches of both checkpoints. Prompts after which
    either model wrote no counted token have no mean and are left out.
    Returns the ACTIVATION_COLUMNS, lists: prompts, counted from 0, and the means of both models;
    first of SAMPLED_PROMPTS, the same for all neurons, then of the CHANGED_PROMPTS on which the
    neuron's mean changed most, most strongly first.
    """
    written = pre["mask"][:].any(axis=1) & post["mask"][:].any(axis=1)
    prompts = np.flatnonzero(written)
    count = min(SAMPLED_PROMPTS, len(prompts))
    sampled = np.linspace(0, len(prompts) - 1, count).round().astype(int) if count else prompts
    lists: dict[tuple[int, int], tuple[Sequence[float], ...]] = {}
    for layer, of_layer in neurons.groupby("layer")["neuron"]:
        before, after = (cache["mlp_post"][:, layer][written].astype("f4") for cache in (pre, post))
        for neuron in of_layer:
            one, other = before[:, neuron], after[:, neuron]
            most = largest_indices(np.abs(other - one), CHANGED_PROMPTS)
            lists[layer, neuron] = (
                prompts[sampled], one[sampled], other[sampled],
                prompts[most], one[most], other[most],
            )  # fmt: skip
    rows = [lists[key] for key in zip(neurons["layer"], neurons["neuron"], strict=True)]
    return pd.DataFrame(rows, columns=list(ACTIVATION_COLUMNS))
