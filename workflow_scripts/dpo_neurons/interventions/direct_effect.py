"""The direct effect of a plan: how much less the first model writes along the direction."""

import numpy as np
import pandas as pd

from dpo_neurons.interventions.operations import OPERATIONS, Means, OutputOperation


def predict_reduction(
    plan: pd.DataFrame,
    contributions: pd.DataFrame,
    along: np.ndarray,
    source: str = "post",
    norm_after_mlp: bool = False,
) -> float:
    """Predict how much less the first model writes along the direction, inputs unchanged.

    What a neuron writes is mean activation × component of its written vector; operations change
    either. contributions: a row a neuron in order of layer and neuron, with mean activations;
    along: (n_layers, d_mlp), components of the first model's written vectors along the unit
    direction; source: the checkpoint, "pre" or "post", whose activations prompt-specific
    operations give; norm_after_mlp: whether the model has such norms.
    Returns NaN if the plan has an operation whose effect means do not tell, or one that acts behind
    a norm, since components are in units of the norm's size and the stream is not.
    """
    before, components = contributions["activation_pre"].to_numpy(), along.reshape(-1)
    means = Means(
        activation=before.copy(),
        component=components.copy(),
        source=contributions[f"activation_{source}"].to_numpy(),
    )
    for operation, rows in plan.groupby("operation"):
        neurons = rows["layer"].to_numpy() * along.shape[1] + rows["neuron"].to_numpy()
        predict = OPERATIONS[operation].predict
        behind_norm = norm_after_mlp and isinstance(OPERATIONS[operation], OutputOperation)
        if predict is None or behind_norm:
            return float("nan")
        predict(means, neurons, rows["value"].to_numpy())
    written = before * components - means.activation * means.component
    return float(written.sum()) + means.subtracted
