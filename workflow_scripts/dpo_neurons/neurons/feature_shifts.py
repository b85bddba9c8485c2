"""The shift along a direction, split by the features of a sparse autoencoder.

An autoencoder takes a state apart: x = W_dec f(x) + b_dec + what it leaves out. So the change of
the mean state along a direction is a sum over features, each its change of activation times the
component of its row of W_dec, plus the change of what is left out. Not in the papers.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.directions.nearest_value_vectors import find_nearest_value_vectors
from dpo_neurons.directions.token_texts import TokenTexts
from dpo_neurons.models.unembedding import Unembedding
from dpo_neurons.neurons.promoted_tokens import find_promoted_tokens
from dpo_neurons.neurons.prompt_projections import PromptProjections, resample_drops
from dpo_neurons.statistics.bootstrap import interval
from dpo_neurons.statistics.ranking import largest_indices

LISTED = 100
"""Features that are listed, those with the largest reductions of either sign."""
FEATURE, OTHERS, LEFT_OUT, ALL = "feature", "other features", "left out", "all"
"""The parts: each listed feature, the sum of all others, what the autoencoder leaves out, and the
whole reduction, as it was measured."""
TEXTS = {"own": "post", "same": "same_text"}
"""What the second checkpoint reads: its own text, or that of the first. The name of the reading."""
SPLIT_COLUMNS = (
    "part", "feature", "activation_pre", "activation_post", "reduction", "reduction_low",
    "reduction_high", "cosine", "shift_cosine",
)  # fmt: skip
DESCRIPTION_COLUMNS = ("value_layer", "value_neuron", "value_cosine", "promoted")
COLUMNS = ("text", *SPLIT_COLUMNS, *DESCRIPTION_COLUMNS)


@dataclass(frozen=True)
class Reading:
    """What one checkpoint's states held while it read one text."""

    features: np.ndarray
    """(n_prompts, d_sae): means over each prompt's counted tokens."""
    states: np.ndarray
    """(n_prompts, d_model): the same of the states themselves."""
    tokens: np.ndarray
    """(n_prompts,): counted tokens."""

    def mean_features(self) -> np.ndarray:
        """Mean over all counted tokens: (d_sae,) float64."""
        mean: np.ndarray = np.average(self.features, axis=0, weights=self.tokens)
        return mean

    def mean_state(self) -> np.ndarray:
        """Mean over all counted tokens: (d_model,) float64."""
        mean: np.ndarray = np.average(self.states, axis=0, weights=self.tokens)
        return mean


def read_reading(file: h5py.File, name: str) -> Reading:
    """Read what `average_features` wrote of one of its readings."""
    return Reading(
        file[f"features_{name}"][:].astype(np.float64),
        file[f"states_{name}"][:].astype(np.float64),
        file[f"tokens_{name}"][:],
    )


def split_by_features(
    pre: Reading,
    post: Reading,
    decoder: np.ndarray,
    direction: np.ndarray,
    resamples: int,
    level: float,
    seed: int,
) -> pd.DataFrame:
    """Split the reduction along a unit direction by features, with intervals over prompts.

    decoder: W_dec, (d_sae, d_model). A reduction is before minus after, as for neurons: it is
    positive where less is written along the direction.
    Returns the SPLIT_COLUMNS: LISTED features by the size of their reduction, then OTHERS, LEFT_OUT
    and ALL, without feature, activations and cosines. All reductions before ALL add up to it.
    cosine and shift_cosine: of a feature's row of the decoder with the direction, and with the
    change of the mean state, after minus before; NaN where one is of zeros.
    """
    components = decoder @ direction
    reductions = (pre.mean_features() - post.mean_features()) * components
    listed = largest_indices(np.abs(reductions), min(LISTED, len(reductions)))

    def project(reading: Reading) -> PromptProjections:
        along = reading.states @ direction
        rebuilt = reading.features @ components
        of_listed = reading.features[:, listed] * components[listed]
        others = rebuilt - of_listed.sum(axis=1)
        # b_dec is the same before and after, and cancels.
        columns = np.column_stack([of_listed, others, along - rebuilt, along])
        return PromptProjections(columns * reading.tokens[:, None], reading.tokens)

    before, after = project(pre), project(post)
    total = before.sums.sum(axis=0) / before.tokens.sum()
    total = total - after.sums.sum(axis=0) / after.tokens.sum()
    low, high = interval(resample_drops(before, after, resamples, seed), level)
    rows, shift = decoder[listed], post.mean_state() - pre.mean_state()
    of_features = {
        "part": FEATURE,
        "feature": listed,
        "activation_pre": pre.mean_features()[listed],
        "activation_post": post.mean_features()[listed],
        "cosine": _cosines(rows, direction),
        "shift_cosine": _cosines(rows, shift),
    }
    parts = pd.DataFrame({"part": [OTHERS, LEFT_OUT, ALL]})
    table = pd.concat([pd.DataFrame(of_features), parts], ignore_index=True)
    table = table.astype({"feature": "Int64"}).assign(
        reduction=total, reduction_low=low, reduction_high=high
    )
    return table[list(SPLIT_COLUMNS)]


def _cosines(rows: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Cosines of rows, (n, d_model), with a vector, (d_model,): (n,)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines: np.ndarray = (
            rows @ vector / (np.linalg.norm(rows, axis=1) * np.linalg.norm(vector))
        )
    return cosines


def describe_features(
    features: np.ndarray,
    decoder: np.ndarray,
    checkpoint: Path,
    folder: Path,
    unembedding: Unembedding,
    texts: TokenTexts,
    count: int,
    norm: Literal["final", "none"],
) -> pd.DataFrame:
    """Describe features, (n,), by their rows of the decoder: the DESCRIPTION_COLUMNS.

    The index is `features`. value_…: the written vector with the largest cosine, and that cosine.
    promoted: the `count` tokens that a row promotes most, in one text; norm: as in
    `Unembedding.iterate_products`. folder: of the autoencoder, for the error message.
    Raises InputError as `find_nearest_value_vectors` does.
    """
    rows = decoder[features]
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    nearest = find_nearest_value_vectors(checkpoint, unit, 1, folder)
    promoted = find_promoted_tokens(rows, unembedding, texts, count, norm)["promoted"]
    values = (
        [vectors.layers[0] for vectors in nearest],
        [vectors.neurons[0] for vectors in nearest],
        [vectors.cosines[0] for vectors in nearest],
        promoted.map(" ".join).tolist(),
    )
    return pd.DataFrame(dict(zip(DESCRIPTION_COLUMNS, values, strict=True)), index=features)
