"""The neurons with the largest reductions of either sign: their activations, prompt by prompt.

Activations are means of a prompt's counted tokens, of the text that each model writes itself.
"""

from collections.abc import Sequence

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.statistics.ranking import largest_indices

NEURONS = 1000
"""Neurons of each sign."""
SAMPLED_PROMPTS = 100
"""Prompts of which both activations are kept, at even steps through all."""
CHANGED_PROMPTS = 5
"""Prompts of each neuron that are named because its activation changed most."""
PROMOTED_COLUMNS = ("promoted", "suppressed")
"""Of `neurons/promoted_tokens`."""
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
            old, new = before[:, neuron], after[:, neuron]
            changed = largest_indices(np.abs(new - old), CHANGED_PROMPTS)
            lists[layer, neuron] = (
                prompts[sampled], old[sampled], new[sampled],
                prompts[changed], old[changed], new[changed],
            )  # fmt: skip
    rows = [lists[key] for key in zip(neurons["layer"], neurons["neuron"], strict=True)]
    return pd.DataFrame(rows, columns=list(ACTIVATION_COLUMNS))
