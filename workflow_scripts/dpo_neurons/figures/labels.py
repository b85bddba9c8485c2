"""Interventions in figures: what kind each is, and labels that do not overlap."""

import numpy as np

KINDS = {
    "patch": "Patching",
    "control": "Control",
    "ablate": "Ablation",
    "scale_keys": "Key scaling",
    "edit": "Activation editing",
    "steer": "Steering",
    "strip": "Stripping the direction",
    "other": "Other interventions",
}
"""Kinds of interventions, by how their names begin."""


def kind_of(intervention: str) -> str:
    """Kind of an intervention by its name: none, dpo, or one of KINDS."""
    if intervention in ("none", "dpo"):
        return intervention
    kinds = [kind for kind in KINDS if intervention.startswith(f"{kind}_")]
    return kinds[0] if kinds else "other"


def spread(positions: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Move positions apart to at least `gap`, as little as possible, within low to high.

    Their order stays; if they do not fit, they run over `high`.
    """
    order = np.argsort(positions, kind="stable")
    steps = gap * np.arange(len(positions))
    clusters: list[list[float]] = []
    for position in positions[order] - steps:
        clusters.append([position])
        # Labels that would collide share their mean displacement.
        while len(clusters) > 1 and np.mean(clusters[-2]) > np.mean(clusters[-1]):
            clusters[-2:] = [clusters[-2] + clusters[-1]]
    starts = [float(np.mean(cluster)) for cluster in clusters for _ in cluster]
    highest = max(low, high - gap * (len(positions) - 1))
    placed = np.empty(len(positions))
    placed[order] = np.clip(starts, low, highest) + steps
    return placed


def find_readable_labels(
    x: np.ndarray, y: np.ndarray, widths: np.ndarray, height: float, away: float
) -> np.ndarray:
    """Which points' labels can be read, (n,) bool: clear of points and of earlier labels.

    x, y: (n,), points in pixels; widths: (n,), of the labels, each of which begins `away` to the
    right of its point; height: of every label.
    """
    left, right = x + away, x + away + widths
    shown = np.zeros(len(x), dtype=bool)
    for this in range(len(x)):
        near = (np.abs(y - y[this]) < height) & (x + away / 2 > left[this]) & (x < right[this])
        level = shown & (np.abs(y - y[this]) < height)
        beside = (left > right[this]) | (right < left[this])
        shown[this] = not near.any() and not (level & ~beside).any()
    return shown
