"""Each neuron's reduction split by cause: changed weights or changed inputs."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.errors import InputError
from dpo_neurons.neurons.groups import GROUPS, UNCHANGED

SOURCES = ("from_value", "from_key", "from_inputs")
"""The parts that sum to the reduction."""
FROM_TEXT = "from_text"
"""The share of from_inputs that exists because the fine-tuned model writes other text."""
COLUMNS = ("layer", "neuron", "reduction", *SOURCES, FROM_TEXT)
VALUE_LAST = "from_value_last"


def check_projections(
    contributions: pd.DataFrame, stage: str, components: np.ndarray, contributions_file: Path
) -> None:
    """Check that contributions are those of a checkpoint's written vectors.

    stage: "pre" or "post". components: (n_layers, d_mlp), of that checkpoint's written vectors
    along the unit direction.
    Raises InputError if the table's projections are not its activations times these components.
    """
    projections = contributions[f"activation_{stage}"].to_numpy() * components.ravel()
    if not np.allclose(projections, contributions[f"projection_{stage}"], rtol=1e-6, atol=1e-12):
        raise InputError(
            f"{contributions_file}: not those of the {stage} checkpoint and direction given; "
            "compute them again"
        )


def count_differing_prompts(first: h5py.File, second: h5py.File) -> int:
    """Count the prompts that two captures of one checkpoint continued differently.

    Raises InputError if the captures have different numbers of prompts or tokens.
    """
    first_mask, second_mask = first["mask"][:], second["mask"][:]
    if first_mask.shape != second_mask.shape:
        raise InputError(
            f"{second.filename}: captured on {second_mask.shape} prompts and tokens, but "
            f"{first.filename} on {first_mask.shape}; capture both again"
        )
    differs = (first["tokens"][:] != second["tokens"][:]) & (first_mask | second_mask)
    return int((differs | (first_mask != second_mask)).any(axis=1).sum())


def split_reductions(
    contributions: pd.DataFrame,
    components_pre: np.ndarray,
    components_post: np.ndarray,
    crossed: np.ndarray,
    same_text: np.ndarray,
) -> pd.DataFrame:
    """Split reductions into parts from value vectors, from keys and from inputs.

    Not in the papers. contributions: one row per neuron, in order of layer and neuron. Arrays are
    (n_layers, d_mlp). components_…: of the written vectors along the unit direction, a = v · w/|w|.
    crossed: mean activations m× that the fine-tuned keys give on the first model's inputs.
    same_text: mean activations m_t of the fine-tuned model reading the first model's text.
    From before to after, one thing changes at a time: the value vector, then the key vector (with
    up projection and biases), then the inputs.

        reduction   = m_pre a_pre − m_post a_post
        from_value  = m_pre (a_pre − a_post)
        from_key    = (m_pre − m×) a_post
        from_inputs = (m× − m_post) a_post
        from_text   = (m_t − m_post) a_post, already in from_inputs

    The size of a part depends on the order of the changes. from_value_last, m_post (a_pre −
    a_post), is the value vector's part if it changes last; the other two are then of a_pre.
    Returns layer, neuron, group, reduction and these parts, in float64.
    """
    a_pre, a_post, m_crossed, m_same_text = (
        values.astype(np.float64).reshape(-1)
        for values in (components_pre, components_post, crossed, same_text)
    )
    before = contributions["projection_pre"].to_numpy()
    after = contributions["projection_post"].to_numpy()
    split = contributions[["layer", "neuron", "group", "reduction"]].copy()
    split["from_value"] = before - contributions["activation_pre"].to_numpy() * a_post
    split["from_key"] = (contributions["activation_pre"].to_numpy() - m_crossed) * a_post
    split["from_inputs"] = m_crossed * a_post - after
    split[FROM_TEXT] = m_same_text * a_post - after
    split[VALUE_LAST] = contributions["activation_post"].to_numpy() * a_pre - after
    return split


def sum_sources(split: pd.DataFrame) -> pd.DataFrame:
    """Sum the parts of `split_reductions` over all neurons, by group and by layer.

    Returns one row per sum: by ("all", "group" or "layer"), part (its name), neurons, reduction,
    from_value, from_key, from_inputs, from_text, from_value_last. Groups without neurons have rows
    of zeros; unchanged neurons have a row only if there are any. Sums by group are chosen and
    summed on the same prompts, and not corrected for that selection.
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
