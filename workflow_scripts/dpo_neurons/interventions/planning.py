"""Plans of every kind of intervention: which neurons are changed, how, and to what value."""

from typing import Literal

import pandas as pd

from dpo_neurons.errors import InputError
from dpo_neurons.interventions.neuron_selection import select_for_editing
from dpo_neurons.interventions.plans import make_plan, subtraction_plan

Values = Literal["mean", "prompt", "token"]
SOURCE_OPERATION = {"prompt": "set_prompt_mean", "token": "set_token"}
"""Operation that gives each prompt its own values, by what they are."""


def plan_patch(
    neurons: pd.DataFrame, stage: Literal["pre", "post"], values: Values = "mean"
) -> pd.DataFrame:
    """Plan to give neurons the activations of a checkpoint (v1, section 4.3).

    stage: "post" for a patch; "pre" for its control, which holds the same neurons at the first
    model's own means. values: the mean over prompts and tokens, assigned, or each prompt's own.
    """
    if values == "mean":
        return make_plan(neurons, "set", neurons[f"activation_{stage}"])
    return make_plan(neurons, SOURCE_OPERATION[values], 0.0)


def plan_ablation(neurons: pd.DataFrame) -> pd.DataFrame:
    """Plan to hold neurons at zero (v1, table 1)."""
    return make_plan(neurons, "set", 0.0)


def plan_key_scaling(neurons: pd.DataFrame, factor: float) -> pd.DataFrame:
    """Plan to multiply the key vectors of neurons (v1, table 1; after Lee et al. 2024)."""
    return make_plan(neurons, "scale_key", factor)


def plan_stripping(neurons: pd.DataFrame, share: float) -> pd.DataFrame:
    """Plan to take a share of their component along the direction from value vectors."""
    return make_plan(neurons, "remove_direction", share)


def plan_editing(
    neurons: pd.DataFrame, alpha: float, beta: float, form: Literal["assign", "scale"]
) -> pd.DataFrame:
    """Plan v3's activation editing: weaken by α what writes along, strengthen the rest.

    neurons: all of the first model's, with cosine and activation_pre; β chooses among them.
    form: "assign" the edited mean activation, as published, or "scale" the live activation.
    Yang et al. (arXiv 2411.06424v3), activation editing.
    """
    weakened, strengthened = select_for_editing(neurons, beta)
    plans = []
    for chosen, factor in ((weakened, 1 - alpha), (strengthened, 1 + alpha)):
        if form == "assign":
            plans.append(make_plan(chosen, "set", chosen["activation_pre"] * factor))
        else:
            plans.append(make_plan(chosen, "scale", factor))
    return pd.concat(plans).sort_values(["layer", "neuron"], ignore_index=True)


def plan_steering(n_layers: int, layer: str, scale: float) -> pd.DataFrame:
    """Plan to subtract the direction from one layer's MLP output; layer: "last" or a number.

    Raises InputError for a layer that the model has not.
    """
    number = n_layers - 1 if layer == "last" else int(layer)
    if not 0 <= number < n_layers:
        raise InputError(
            f"interventions: layer {layer} of a steer row: the model has layers 0 to "
            f"{n_layers - 1}; give one of them, or last"
        )
    return subtraction_plan(number, scale)
