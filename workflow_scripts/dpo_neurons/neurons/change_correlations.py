"""How far a neuron's cosine and activation before fine-tuning tell how its activation changes.

Yang et al. (arXiv 2411.06424v3) find a Pearson r of .001 to .004 between change and cosine.
"""

import math

import numpy as np
import pandas as pd

ALL_LAYERS = "all"
QUANTITIES = ("cosine", "activation_pre")
"""What the change of a neuron's mean activation is correlated with."""
COLUMNS = ("layer", "quantity", "neurons", "pearson")
"""A row for each quantity and layer, and for each quantity and all layers."""


def correlate_changes(contributions: pd.DataFrame) -> pd.DataFrame:
    """Correlate changes of activation with each of the QUANTITIES, over neurons: the COLUMNS.

    contributions: a row a neuron, with layer, cosine, activation_pre and activation_post. pearson
    is NaN where one of both is the same for all neurons.
    """
    parts = [(ALL_LAYERS, contributions), *contributions.groupby("layer")]
    rows = [
        (str(layer), quantity, len(part), correlate(part[quantity], change_of_activation(part)))
        for layer, part in parts
        for quantity in QUANTITIES
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def change_of_activation(contributions: pd.DataFrame) -> pd.Series:
    """Return each neuron's mean activation after fine-tuning minus that before."""
    change: pd.Series = contributions["activation_post"] - contributions["activation_pre"]
    return change


def correlate(first: pd.Series, second: pd.Series) -> float:
    """Return Pearson's r of two columns; NaN if one of them is constant."""
    from_mean = [column.to_numpy(dtype=float) - column.mean() for column in (first, second)]
    sizes = math.prod(float(np.linalg.norm(values)) for values in from_mean)
    return float(from_mean[0] @ from_mean[1]) / sizes if sizes else math.nan
