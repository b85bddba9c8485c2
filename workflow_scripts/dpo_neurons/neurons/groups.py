"""The neuron groups of the paper: by value vector, sign of activation, and what fine-tuning did.

A neuron is toxic (T) if its value vector points along the direction before fine-tuning, anti-toxic
(A) if against it; positive (P) or negative (N) by the sign of its mean activation before. Four
groups reduce what is written along the direction, their four mirrors raise it.
"""

import numpy as np

DEFINITIONS = ("v1", "v3")

REDUCING = ("TP-", "TN+", "AP+", "AN-")
"""Spelled as in v1: T or A, P or N, then whether the size of the activation shrinks or grows."""
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
    """Name each neuron's group.

    All arrays are (n,), the result too. Definition "v1" (v1, section 4.3) goes by the direction in
    which the activation moves: a toxic neuron reduces if it falls, an anti-toxic one if it rises.
    "v3" goes by the sign of the reduction (equation 1), which a changed value vector also enters.
    A neuron orthogonal to the direction, or one that nothing moved, is "unchanged".
    """
    if definition not in DEFINITIONS:
        raise ValueError(f"definition must be one of {DEFINITIONS}, not {definition!r}")
    if definition == "v1":
        effect = np.sign(cosine) * np.sign(activation_pre - activation_post)
    else:
        effect = np.abs(np.sign(cosine)) * np.sign(reduction)
    # Looked up by place: each side's four are toxic positive, toxic negative, and anti-toxic both.
    place = 2 * ~(cosine > 0) + ~(activation_pre >= 0)
    place = np.where(effect > 0, place, np.where(effect < 0, place + len(REDUCING), len(GROUPS)))
    return np.array([*GROUPS, UNCHANGED], dtype=object)[place]
