"""Placement of labels in figures without overlaps."""

import numpy as np


def spread_labels(positions: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Move positions, (n,), at least `gap` apart, as little as possible.

    They stay in order and between `low` and `high`. If they do not fit, they exceed `high`.
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
    """Find the labels, (n,) bool, that lie clear of all points and of earlier labels.

    x, y: (n,), the points, in pixels. widths: (n,), of the labels, in pixels; each label begins
    `away` pixels to the right of its point. height: of every label, in pixels.
    """
    left, right = x + away, x + away + widths
    readable = np.zeros(len(x), dtype=bool)
    for i in range(len(x)):
        level = np.abs(y - y[i]) < height
        on_point = level & (x + away / 2 > left[i]) & (x < right[i])
        beside = (left > right[i]) | (right < left[i])
        on_label = readable & level & ~beside
        readable[i] = not on_point.any() and not on_label.any()
    return readable
