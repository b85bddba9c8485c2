"""Weights or inputs: each neuron's reduction split by what changed, summing to the whole."""

import numpy as np
import pandas as pd

from dpo_neurons.neurons.groups import GROUPS, UNCHANGED

SOURCES = ("from_value", "from_key", "from_inputs")
"""The parts that sum to the reduction."""
FROM_TEXT = "from_text"
"""What of the inputs' part is there because the second model writes other text."""
COLUMNS = ("layer", "neuron", "reduction", *SOURCES, FROM_TEXT)
VALUE_LAST = "from_value_last"


def split_reductions(
    contributions: pd.DataFrame,
    along_pre: np.ndarray,
    along_post: np.ndarray,
    crossed: np.ndarray,
    same_text: np.ndarray,
) -> pd.DataFrame:
    """Split reductions into the parts of changed value vectors, changed keys and changed inputs.

    contributions: a row a neuron, in order of layer and neuron. Arrays are (n_layers, d_mlp).
    along_…: components of the value vectors along the unit direction, a = v · w/|w|. crossed: mean
    activations that the second model's keys give on the first model's inputs, m×; same_text: that
    they give when the second model reads the first one's text, m_t. From before to after, one
    change at a time: value vector, key vector (and up projection and biases), inputs.

        reduction   = m_pre a_pre − m_post a_post
        from_value  = m_pre (a_pre − a_post)
        from_key    = (m_pre − m×) a_post
        from_inputs = (m× − m_post) a_post
        from_text   = (m_t − m_post) a_post, already in from_inputs

    A part is smaller or larger where its change comes later; from_value_last, m_post (a_pre −
    a_post), is the value vector's part if it came last (the other two then are of a_pre).
    Returns the table's layer, neuron, group and reduction with these parts, float64.
    """
    a_pre, a_post, between, reading = (
        each.astype(np.float64).reshape(-1) for each in (along_pre, along_post, crossed, same_text)
    )
    before = contributions["projection_pre"].to_numpy()
    after = contributions["projection_post"].to_numpy()
    split = contributions[["layer", "neuron", "group", "reduction"]].copy()
    split["from_value"] = before - contributions["activation_pre"].to_numpy() * a_post
    split["from_key"] = (contributions["activation_pre"].to_numpy() - between) * a_post
    split["from_inputs"] = between * a_post - after
    split[FROM_TEXT] = reading * a_post - after
    split[VALUE_LAST] = contributions["activation_post"].to_numpy() * a_pre - after
    return split


def sum_sources(split: pd.DataFrame) -> pd.DataFrame:
    """Sum the parts over all neurons, by group and by layer.

    Returns a row each: by (all, group or layer), part (its name), neurons, reduction, from_value,
    from_key, from_inputs, from_text, from_value_last. Groups without neurons have rows of zeros,
    but there is one of unchanged neurons only if there are any.
    """
    sums = ["reduction", *SOURCES, FROM_TEXT, VALUE_LAST]
    names = split["group"].astype("category")
    groups = [*GROUPS, UNCHANGED] if (names == UNCHANGED).any() else list(GROUPS)
    by = {
        "all": pd.Series("all", index=split.index, dtype="category"),
        "group": names,
        "layer": split["layer"],
    }
    parts = []
    for kind, keys in by.items():
        summed = split.groupby(keys, observed=True)[sums].sum()
        summed.insert(0, "neurons", keys.value_counts())
        if kind == "group":
            summed = summed.reindex(groups, fill_value=0)
        summed = summed.rename_axis("part").reset_index()
        summed.insert(0, "by", kind)
        parts.append(summed.astype({"part": str}))
    return pd.concat(parts, ignore_index=True)
