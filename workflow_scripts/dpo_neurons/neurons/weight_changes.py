"""How each matrix of a model changed: by how much, with how many components, and which way."""

import logging
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import Architecture
from dpo_neurons.models.checkpoint_folder import read_architecture
from dpo_neurons.models.value_vectors import check_width
from dpo_neurons.models.weight_parts import (
    OUTSIDE_LAYERS,
    name_in_model,
    place_of,
    split_name,
    stream_axis,
)
from dpo_neurons.models.weight_reader import StoredWeights
from dpo_neurons.statistics.singular_values import squared_singular_values

log = logging.getLogger("dpo_neurons")

COLUMNS = (
    "layer", "part", "matrix", "rows", "columns", "norm", "change", "relative_change", "similarity",
    "effective_rank", "share_1", "share_10", "cosine", "cosine_by_chance",
)  # fmt: skip
OF_NO_CHANGE = dict.fromkeys(("effective_rank", "share_1", "share_10", "cosine"), math.nan)


def tabulate_weight_changes(
    pre: Path, post: Path, direction: np.ndarray, direction_file: Path
) -> pd.DataFrame:
    """Describe the change W' − W of every matrix of a model: a row each, with the COLUMNS.

    Both checkpoints are read a matrix at a time. direction: unit, (d_model,).
    norm, change: Frobenius norms of W and W' − W; relative_change is the second over the first.
    similarity: cosine of W and W' as vectors of all entries, as Lee et al. 2024 (arXiv 2401.01967)
    compare parameters. With σᵢ the singular values of the change and pᵢ = σᵢ² / Σ σⱼ²,
    effective_rank is exp(−Σ pᵢ ln pᵢ), after Roy and Vetterli 2007, who take σᵢ in place of σᵢ².
    share_1, share_10: sums of the first pᵢ.
    cosine: size of the cosine of the direction with the leading singular vector of the side that
    reads or writes the residual stream; matrices are taken as stored, without the norms' gains.
    cosine_by_chance: its mean for a random vector. layer: −1 for matrices in no layer. Shares,
    rank and cosine are NaN for a matrix that did not change, the cosine for one beside the stream.
    Raises InputError for a matrix that is not finite, or of two shapes, and for a direction, read
    from `direction_file`, of another width than the residual stream.
    """
    architecture = read_architecture(pre)
    rows = []
    for name, before, after in _iterate_matrices(pre, post, architecture):
        layer, own_name = split_name(architecture, name)
        matrix = own_name.removesuffix(".weight")
        axis = stream_axis(architecture, name, before.shape, len(direction))
        part = place_of(architecture, name).part
        if part == "values" and axis is not None:
            check_width(direction[None], before.shape[axis], direction_file, pre)
        norm = float(np.linalg.norm(before))
        both_norms = norm * float(np.linalg.norm(after))
        similarity = float(np.vdot(before, after)) / both_norms if both_norms else math.nan
        after -= before  # in place: an embedding can take gigabytes
        described = describe_change(after, axis, direction)
        rows.append(
            {
                "layer": layer,
                "part": part,
                "matrix": matrix.rpartition(".")[2] if layer == OUTSIDE_LAYERS else matrix,
                "rows": before.shape[0],
                "columns": before.shape[1],
                "norm": norm,
                "relative_change": described["change"] / norm if norm else math.nan,
                "similarity": similarity,
                "cosine_by_chance": mean_cosine_by_chance(len(direction)),
                **described,
            }
        )
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.sort_values(["layer", "part", "matrix"], ignore_index=True)


def describe_change(
    change: np.ndarray, axis: int | None, direction: np.ndarray
) -> dict[str, float]:
    """Compute norm, effective rank, shares and cosine of a change, (m, n) float64.

    axis: along which the residual stream lies; None if along neither.
    """
    size = float(np.linalg.norm(change))
    if size == 0:
        return {"change": 0.0, **OF_NO_CHANGE}
    squares, vectors = (part.numpy() for part in squared_singular_values(torch.from_numpy(change)))
    shares = squares / squares.sum()
    present = shares[shares > 0]
    cosine = math.nan
    if axis is not None:
        leading, shorter = vectors[:, 0], int(change.shape[0] > change.shape[1])
        if axis != shorter:
            leading = change.T @ leading if shorter == 0 else change @ leading
        cosine = abs(float(leading @ direction)) / float(np.linalg.norm(leading))
    return {
        "change": size,
        "effective_rank": float(np.exp(-(present * np.log(present)).sum())),
        "share_1": float(shares[0]),
        "share_10": float(shares[:10].sum()),
        "cosine": cosine,
    }


def mean_cosine_by_chance(width: int) -> float:
    """Compute the mean size of the cosine of a random vector with a given one.

    It is Γ(d/2) / (√π Γ((d + 1)/2)) for a width d, about √(2/(π d)).
    """
    return math.exp(math.lgamma(width / 2) - math.lgamma((width + 1) / 2)) / math.sqrt(math.pi)


def _iterate_matrices(
    pre: Path, post: Path, architecture: Architecture
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield each matrix that both checkpoints store: its name in the model, and both, float64.

    One checkpoint may have more token or position vectors; only those that both have are compared.
    """
    checkpoints = StoredWeights(pre), StoredWeights(post)
    by_name = [
        {name_in_model(architecture, stored): stored for stored in checkpoint.names}
        for checkpoint in checkpoints
    ]
    for name in sorted(by_name[0].keys() & by_name[1].keys()):
        stored = [names[name] for names in by_name]
        shapes = [
            checkpoint.shape(own) for checkpoint, own in zip(checkpoints, stored, strict=True)
        ]
        if len(shapes[0]) != 2:
            continue
        if shapes[0][1:] != shapes[1][1:]:
            raise InputError(
                f"{post}: {name} has the shape {shapes[1]}, and {shapes[0]} in {pre}; give a "
                "checkpoint that was tuned from the first"
            )
        before, after = (
            checkpoint.read(own)[: min(shapes[0][0], shapes[1][0])]
            for checkpoint, own in zip(checkpoints, stored, strict=True)
        )
        if not (np.isfinite(before).all() and np.isfinite(after).all()):
            raise InputError(
                f"{pre}, {post}: {name} holds NaN or infinite numbers in one of them; fetch or "
                "make the checkpoint again"
            )
        yield name, before, after
    for name in sorted(by_name[0].keys() ^ by_name[1].keys()):
        log.info("%s is stored by one checkpoint alone, so it is left out", name)
