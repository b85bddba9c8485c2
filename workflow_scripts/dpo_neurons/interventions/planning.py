"""Plans of each kind of intervention."""

from typing import Literal

import pandas as pd

from dpo_neurons.errors import InputError
from dpo_neurons.interventions.neuron_selection import select_for_editing
from dpo_neurons.interventions.plans import make_plan, subtraction_plan

Values = Literal["mean", "prompt", "token"]
SOURCE_OPERATION = {"prompt": "set_prompt_mean", "token": "set_token"}
"""Operations that assign each prompt its own values, by the kind of value."""


def plan_patch(
    neurons: pd.DataFrame, stage: Literal["pre", "post"], values: Values = "mean"
) -> pd.DataFrame:
    """Plan to assign to neurons the activations of a checkpoint.

    Yang et al. 2024 (arXiv 2411.06424v1), section 5. stage: "post" for a patch. "pre" is for its
    control, which holds the same neurons at the first model's own means. values: "mean" assigns
    the mean over prompts and tokens; others assign each prompt's own activations.
    """
    if values == "mean":
        return make_plan(neurons, "set", neurons[f"activation_{stage}"])
    return make_plan(neurons, SOURCE_OPERATION[values], 0.0)


def plan_ablation(neurons: pd.DataFrame) -> pd.DataFrame:
    """Plan to hold neurons at zero: Yang et al. 2024 (arXiv 2411.06424v1), table 1."""
    return make_plan(neurons, "set", 0.0)


def plan_key_scaling(neurons: pd.DataFrame, factor: float) -> pd.DataFrame:
    """Plan to multiply the key vectors of neurons by a factor.

    Yang et al. 2024 (arXiv 2411.06424v1), section 4.1 and table 1; first in Lee et al. 2024 (arXiv
    2401.01967).
    """
    return make_plan(neurons, "scale_key", factor)


def plan_stripping(neurons: pd.DataFrame, share: float) -> pd.DataFrame:
    """Plan to remove a share of the component along the direction from value vectors."""
    return make_plan(neurons, "remove_direction", share)


def plan_editing(
    neurons: pd.DataFrame, alpha: float, beta: float, form: Literal["assign", "scale"]
) -> pd.DataFrame:
    """Plan activation editing: weaken or strengthen the neurons that β selects by α.

    Yang et al. (arXiv 2411.06424v3), activation editing. neurons: all neurons of the first model,
    with cosine and activation_pre; `select_for_editing` selects among them. form: "assign" sets
    the edited mean activation, as published; "scale" multiplies the live activation.
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
    """Plan to subtract `scale` times the unit direction from one layer's MLP output.

    layer: "last" or a number from 0.
    Raises InputError for a layer that the model does not have.
    """
    number = n_layers - 1 if layer == "last" else int(layer)
    if not 0 <= number < n_layers:
        raise InputError(
            f"interventions: a steer row has layer {layer}, but the model has layers 0 to "
            f"{n_layers - 1}; give one of these, or last"
        )
    return subtraction_plan(number, scale)
