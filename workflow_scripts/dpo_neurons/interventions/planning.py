"""Plans of each kind of intervention."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from dpo_neurons.errors import InputError
from dpo_neurons.interventions.plans import WHOLE_LAYER, layer_plan, make_plan
from dpo_neurons.models.weight_parts import OUTSIDE_LAYERS

Values = Literal["mean", "prompt", "token", "same_text"]
SOURCE_OPERATION = {
    "prompt": "set_prompt_mean",
    "token": "set_token",
    "same_text": "set_same_text",
}
"""Operations that assign each prompt its own values, by the kind of value."""
WEIGHT_PARTS = ("mlp", "attention", "norms", "embedding")
"""What a transplant without `parts` puts in: all weights."""


def plan_patch(
    neurons: pd.DataFrame,
    stage: Literal["pre", "post"],
    values: Values = "mean",
    dose: float = 1.0,
) -> pd.DataFrame:
    """Plan to assign to neurons the activations of a checkpoint.

    Yang et al. 2024 (arXiv 2411.06424v1), section 5. stage: "post" for a patch. "pre" is for its
    control, which holds the same neurons at the first model's own means. values: "mean" assigns
    the mean over prompts and tokens; others assign each prompt's own activations. dose: the part of
    the way to each prompt's own activations; a mean is always assigned whole, and `plan_shift` is
    its graded form.
    """
    if values == "mean":
        return make_plan(neurons, "set", neurons[f"activation_{stage}"])
    return make_plan(neurons, SOURCE_OPERATION[values], dose)


def plan_shift(neurons: pd.DataFrame, dose: float = 1.0) -> pd.DataFrame:
    """Plan to add to neurons, at each token, `dose` times the shift that fine-tuning made.

    The shift is the mean activation after fine-tuning minus that before. A neuron goes on reacting
    to each token, where a patch (section 5 of arXiv 2411.06424v1) holds it still.
    """
    shift = neurons["activation_post"] - neurons["activation_pre"]
    return make_plan(neurons, "add", dose * shift)


def plan_random_shift(neurons: pd.DataFrame, dose: float, seed: int) -> pd.DataFrame:
    """Plan the control of `plan_shift`: the same shifts on other neurons, with random signs.

    The shifts are permuted among the neurons of a layer that the plan changes, so that their number
    and sizes stay the same in each layer.
    """
    plan = plan_shift(neurons, dose)
    random = np.random.default_rng(seed)
    plan["value"] *= random.choice([-1.0, 1.0], size=len(plan))
    return _permute_in_layers(plan, random)


def _permute_in_layers(plan: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """Permute a plan's values among the neurons of each layer."""
    plan["value"] = plan.groupby("layer")["value"].transform(
        lambda values: random.permutation(values.to_numpy())
    )
    return plan


def plan_damping(neurons: pd.DataFrame) -> pd.DataFrame:
    """Plan to damp neurons in proportion to how well they tell toxic texts apart.

    AurA (Suau et al. 2024, arXiv 2407.12824): a neuron whose AUROC is above one half is multiplied
    by 1 − 2 (AUROC − ½); others stay. neurons: with the column score, their AUROC.
    """
    experts = neurons[neurons["score"] > 0.5]
    return make_plan(experts, "scale", 1 - 2 * (experts["score"] - 0.5))


def plan_random_damping(neurons: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Plan the control of `plan_damping`: its factors, permuted within each layer."""
    return _permute_in_layers(plan_damping(neurons), np.random.default_rng(seed))


def plan_moved_damping(
    neurons: pd.DataFrame, damping: pd.DataFrame, random: np.random.Generator
) -> pd.DataFrame:
    """Plan a damping's factors on other neurons, in random order within each layer.

    neurons: as many in each layer as the plan `damping` changes.
    """
    plan = make_plan(neurons, "scale", 1.0)
    # Both plans are in order of layers.
    return _permute_in_layers(plan.assign(value=damping["value"].to_numpy()), random)


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


def plan_transplant(
    n_layers: int,
    parts: Sequence[str] | None,
    layers: tuple[int, int] | None = None,
    rank: int | None = None,
    dose: float = 1.0,
) -> pd.DataFrame:
    """Plan to put parts of the other checkpoint's weights into the one that the row changes.

    parts: of WEIGHT_PARTS; None for all, or with layers for all that layers have. layers: the first
    and the last, both included; None for all, and what is in no layer. rank: of each matrix's
    change, only the first so many singular components; None for all of the change. dose: the part
    of the way to the other checkpoint's weights.
    Raises InputError for layers that the model does not have.
    """
    first, last = layers or (0, n_layers - 1)
    if not 0 <= first <= last < n_layers:
        raise InputError(
            f"interventions: a transplant has layers {first} to {last}, but the model has layers "
            f"0 to {n_layers - 1}; give the first and the last of these"
        )
    places = []
    for part in _expand_parts(parts or WEIGHT_PARTS):
        numbers = list(range(first, last + 1)) if part != "embedding" else []
        if layers is None and part in ("embedding", "norms"):
            numbers.append(OUTSIDE_LAYERS)
        places += [(number, part) for number in numbers]
    operation = "transplant_" if rank is None else "transplant_rank_of_"
    plan = pd.DataFrame(places, columns=["layer", "part"]).assign(neuron=WHOLE_LAYER)
    return pd.concat(
        [
            make_plan(rows, f"{operation}{part}", dose if rank is None else rank)
            for part, rows in plan.groupby("part", sort=False)
        ],
        ignore_index=True,
    )


def plan_neuron_transplant(
    neurons: pd.DataFrame, parts: Sequence[str] = ("mlp",), dose: float = 1.0
) -> pd.DataFrame:
    """Plan to put the other checkpoint's weights of some neurons into the one that is changed.

    parts: keys, values, or mlp for both.
    """
    return pd.concat(
        [make_plan(neurons, f"transplant_{part}", dose) for part in _expand_parts(parts)],
        ignore_index=True,
    )


def _expand_parts(parts: Sequence[str]) -> list[str]:
    """Name the parts of `models.weight_parts` that a configuration's parts stand for."""
    both = {"mlp": ("keys", "values")}
    return list(dict.fromkeys(name for part in parts for name in both.get(part, (part,))))


def plan_for_neurons(neurons: pd.DataFrame, row: Mapping[str, Any]) -> pd.DataFrame:
    """Plan a row of the tables that changes a set of neurons alike.

    row: kind (patch, control, shift, damp, ablate, scale_keys, strip or transplant) and the
    settings of that kind, as in a study's configuration; those left out or None have their
    defaults. Neurons to damp have a column score.
    """
    kind = row["kind"]
    dose = 1.0 if row.get("dose") is None else row["dose"]
    if kind == "ablate":
        return plan_ablation(neurons)
    if kind == "scale_keys":
        return plan_key_scaling(neurons, row["factor"])
    if kind == "strip":
        return plan_stripping(neurons, row["share"])
    if kind == "transplant":
        return plan_neuron_transplant(neurons, row.get("parts") or ("mlp",), dose)
    if kind == "shift":
        return plan_shift(neurons, dose)
    if kind == "damp":
        return plan_damping(neurons)
    if row.get("values") == "permuted":
        return plan_random_shift(neurons, dose, row["seed"])
    if row.get("values") == "permuted_damping":
        return plan_random_damping(neurons, row["seed"])
    stage: Literal["pre", "post"] = "post" if kind == "patch" else "pre"
    return plan_patch(neurons, stage, row.get("values") or "mean", dose)


HEAD_OPERATIONS = {
    "set": "set_head",
    "add": "add_head",
    "set_same_text": "set_head_same_text",
}
"""The operation on heads that does what an operation on neurons does."""


def plan_for_heads(heads: pd.DataFrame, row: Mapping[str, Any]) -> pd.DataFrame:
    """Plan a row of the tables that changes heads of attention as it would change neurons.

    heads: a row a coordinate of `attn_z`, with the columns of a table of contributions that the
    row's kind needs (patch, control, shift or ablate); `neuron` is the coordinate.
    """
    plan = plan_for_neurons(heads, row)
    return plan.assign(operation=plan["operation"].map(HEAD_OPERATIONS))


def plan_editing(
    weakened: pd.DataFrame,
    strengthened: pd.DataFrame,
    alpha: float,
    form: Literal["assign", "scale", "shift"],
) -> pd.DataFrame:
    """Plan activation editing: weaken some neurons by α, and strengthen others.

    Yang et al. (arXiv 2411.06424v3), activation editing. weakened, strengthened: with
    activation_pre; of `select_for_editing` or `split_for_editing`. form: "assign" sets the edited
    mean activation, as published; "scale" multiplies the live activation; "shift" adds to it the
    change of the mean.
    """
    plans = []
    for chosen, change in ((weakened, -alpha), (strengthened, alpha)):
        mean = chosen["activation_pre"]
        if form == "assign":
            plans.append(make_plan(chosen, "set", mean * (1 + change)))
        elif form == "scale":
            plans.append(make_plan(chosen, "scale", 1 + change))
        else:
            plans.append(make_plan(chosen, "add", mean * change))
    return pd.concat(plans).sort_values(["layer", "neuron"], ignore_index=True)


STEERING = {"direction": "subtract_direction", "shift": "add_shift", "random": "add_random"}
"""Operations that steer, by what they steer along."""


def plan_steering(
    n_layers: int, layer: str, scale: float, along: str = "direction"
) -> pd.DataFrame:
    """Plan to steer at one layer, by `scale`.

    along: of STEERING. "direction" subtracts the unit direction from what the layer's MLP adds to
    the stream; "shift" adds the mean shift that fine-tuning made of the stream after the layer;
    "random", its control, adds a random vector of the shift's length. layer: "last", "middle" or a
    number from 0.
    Raises InputError for a layer that the model does not have.
    """
    named = {"last": n_layers - 1, "middle": n_layers // 2}
    number = named[layer] if layer in named else int(layer)
    if not 0 <= number < n_layers:
        raise InputError(
            f"interventions: a steer row has layer {layer}, but the model has layers 0 to "
            f"{n_layers - 1}; give one of these, middle or last"
        )
    return layer_plan(number, STEERING[along], scale)
