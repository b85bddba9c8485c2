"""Rankings of neurons that no direction enters: change on the same text, effect size, AUROC.

A ranking is a table of layer, neuron and score, a row a neuron in order of layer and neuron.
"""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.files.tables import read_table

FROM_CACHES = ("change", "effect_size")
"""Scores that are computed from caches of activations."""
COLUMNS = ("layer", "neuron", "score")


def change_on_same_text(pre: h5py.File, crossed: h5py.File) -> np.ndarray:
    """Size of the change of the mean activation on the first model's text: (n_layers, d_mlp).

    Not in the papers. crossed: its `mlp_post_same_text_mean` is of the fine-tuned model, reading
    what the first one wrote.
    """
    change: np.ndarray = np.abs(
        crossed["mlp_post_same_text_mean"][:].astype(np.float64) - pre["mlp_post_mean"][:]
    )
    return change


def effect_sizes(pre: h5py.File, post: h5py.File) -> np.ndarray:
    """Size of the change in standard deviations over prompts: (n_layers, d_mlp).

    Not in the papers. The mean of a prompt's change, after − before, by its standard deviation
    (Cohen's d of paired samples); 0 where nothing changes. Prompts after which a model wrote
    nothing are left out.
    """
    wrote = pre["mask"][:].any(axis=1) & post["mask"][:].any(axis=1)
    sizes = []
    for layer in range(pre["mlp_post"].shape[1]):
        before, after = (cache["mlp_post"][:, layer][wrote] for cache in (pre, post))
        change = after.astype(np.float64) - before
        if len(change) < 2:
            sizes.append(np.zeros(change.shape[1]))
            continue
        mean, spread = np.abs(change.mean(axis=0)), change.std(axis=0, ddof=1)
        sizes.append(np.divide(mean, spread, out=np.zeros_like(spread), where=spread > 0))
    return np.stack(sizes)


def tabulate_ranking(scores: np.ndarray) -> pd.DataFrame:
    """Make a ranking of scores, (n_layers, d_mlp)."""
    n_layers, d_mlp = scores.shape
    return pd.DataFrame(
        {
            "layer": np.repeat(np.arange(n_layers), d_mlp),
            "neuron": np.tile(np.arange(d_mlp), n_layers),
            "score": scores.astype(np.float64).reshape(-1),
        }
    )


def read_ranking(path: Path) -> pd.DataFrame:
    """Read a ranking. Raises InputError if the file is missing, damaged or none."""
    return read_table(path, COLUMNS, "a ranking of neurons needs")
