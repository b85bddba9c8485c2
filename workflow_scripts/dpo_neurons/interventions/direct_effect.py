"""The direct effect of a plan on what the first model writes along the direction."""

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
    """Predict a plan's reduction along the direction, with inputs unchanged.

    A neuron writes its mean activation times the component of its written vector. An operation
    changes one of the two.

    contributions: one row per neuron in order of layer and neuron, with mean activations. along:
    (n_layers, d_mlp), components of the first model's written vectors along the unit direction.
    source: the checkpoint, "pre" or "post", whose activations prompt-specific operations assign.
    norm_after_mlp: whether the model has a norm after each MLP.
    Returns NaN if mean activations do not determine the effect of an operation. Nor do they if the
    operation acts behind a norm: components are in units of the norm's size, the stream is not.
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
