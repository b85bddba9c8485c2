"""The paper's neuron groups.

Yang et al. 2024 (arXiv 2411.06424v1), section 4.3. Before fine-tuning, a neuron is toxic (T) if its
value vector points along the direction, anti-toxic (A) if against it, and positive (P) or negative
(N) by its mean activation. Four groups reduce what is written along the direction; their four
mirrors raise it.
"""

import numpy as np

DEFINITIONS = ("v1", "v3")

REDUCING = ("TP-", "TN+", "AP+", "AN-")
"""Spelled as in v1: the last sign says whether the size of the activation shrinks or grows."""
RAISING = ("TP+", "TN-", "AP-", "AN+")
UNCHANGED = "unchanged"
GROUPS = REDUCING + RAISING


def assign_groups(
    cosine: np.ndarray,
    activation_pre: np.ndarray,
    activation_post: np.ndarray,
    reduction: np.ndarray,
    definition: str,
) -> np.ndarray:
    """Name each neuron's group: one of GROUPS, or "unchanged".

    All arrays are (n_neurons,), the result too. Definition "v1" (arXiv 2411.06424v1, section 4.3)
    goes by the direction in which the activation moves: toxic neurons reduce where it falls,
    anti-toxic ones where it rises. "v3" (arXiv 2411.06424v3) goes by the sign of the reduction
    (equation 1), which a changed value vector also enters. A mean activation of zero before
    fine-tuning counts as positive. A neuron is "unchanged" if its value vector is orthogonal to
    the direction or if nothing moved.

    Under either definition neurons are chosen by their own effect: sums of reductions by group are
    not corrected for that selection if the same prompts choose and count.
    Raises ValueError for another definition.
    """
    place = find_places(cosine, activation_pre, activation_post, reduction, definition)
    groups: np.ndarray = np.array([*GROUPS, UNCHANGED], dtype=object)[place]
    return groups


def find_places(
    cosine: np.ndarray,
    activation_pre: np.ndarray,
    activation_post: np.ndarray,
    reduction: np.ndarray,
    definition: str,
) -> np.ndarray:
    """Find the place of each neuron's group in GROUPS, len(GROUPS) if it is unchanged.

    Arguments and errors are those of `assign_groups`.
    """
    if definition not in DEFINITIONS:
        raise ValueError(f"definition must be one of {DEFINITIONS}, not {definition!r}")
    if definition == "v1":
        effect = np.sign(cosine) * np.sign(activation_pre - activation_post)
    else:
        effect = np.abs(np.sign(cosine)) * np.sign(reduction)
    # Places in REDUCING and RAISING: toxic positive, toxic negative, anti-toxic likewise.
    place = np.int8(2) * ~(cosine > 0) + ~(activation_pre >= 0)
    place += np.int8(len(REDUCING)) * (effect < 0)
    place[~(np.abs(effect) > 0)] = len(GROUPS)
    return place
