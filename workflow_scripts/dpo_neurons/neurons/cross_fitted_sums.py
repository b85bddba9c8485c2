"""Reductions summed over neurons that other prompts chose, layer by layer.

A prompt's reduction of a neuron is the neuron's reduction plus what the prompt's counted tokens add
to the deviation of both means, so that their mean over prompts is the reduction exactly. Sets that
hold each neuron once add up to the net reduction.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import h5py
import numpy as np
import pandas as pd

from dpo_neurons.neurons.prompt_projections import sum_by_set, value_components
from dpo_neurons.statistics.cross_fitting import CrossFit

Components = dict[str, np.ndarray]
"""Components of written vectors along the unit direction, (n_neurons,), for "pre" and "post"."""
Choose = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From mean activations before and after, (n_neurons,), to each neuron's set, (n_neurons,) int."""


def read_components(table: pd.DataFrame) -> Components:
    """Read what choosing by activations alone takes from contributions, in float32."""
    stages = ("pre", "post")
    return {stage: value_components(table, stage).astype(np.float32) for stage in stages}


@dataclass(frozen=True)
class FoldSums:
    """A checkpoint's activations, summed over the counted tokens of each fold of prompts."""

    sums: np.ndarray
    """(n_folds, n_neurons) float32"""
    total: np.ndarray
    """(n_neurons,) float32: over all folds."""
    tokens: np.ndarray
    """(n_prompts,): counted tokens."""
    fold_tokens: np.ndarray
    """(n_folds,): counted tokens."""

    def mean_without(self, *left_out: int) -> np.ndarray:
        """Mean activations over all folds but these, (n_neurons,); zeros where no token is left."""
        tokens = int(self.tokens.sum() - self.fold_tokens[list(left_out)].sum())
        if tokens == 0:
            return np.zeros_like(self.total)
        mean = self.total.copy()
        for fold in left_out:
            mean -= self.sums[fold]
        mean *= np.float32(1 / tokens)
        return mean

    def parts_of_deviation(self) -> np.ndarray:
        """What each fold adds to the deviation from the mean, (n_folds, n_neurons); sums to 0."""
        parts: np.ndarray = self.sums - self.fold_tokens[:, None] * self.mean_without()
        return parts / max(int(self.tokens.sum()), 1)


def sum_folds(cache: h5py.File, folds: np.ndarray) -> FoldSums:
    """Sum a cache's activations by fold, a layer in memory at a time. folds: (n_prompts,)."""
    mlp_post, tokens = cache["mlp_post"], cache["mask"][:].sum(axis=1)
    _, n_layers, d_mlp = mlp_post.shape
    n_folds = int(folds.max()) + 1
    of_fold = np.where(folds == np.arange(n_folds)[:, None], tokens, 0)
    sums = np.empty((n_folds, n_layers, d_mlp), dtype=np.float32)
    for layer in range(n_layers):
        sums[:, layer] = of_fold.astype(np.float32) @ mlp_post[:, layer].astype(np.float32)
    sums = sums.reshape(n_folds, -1)
    return FoldSums(sums, sums.sum(axis=0), tokens, of_fold.sum(axis=1))


def cross_fit_layers(
    table: pd.DataFrame,
    pre: h5py.File,
    post: h5py.File,
    folds: np.ndarray,
    choose: Choose,
    n_sets: int,
    row: str = "",
) -> Iterator[tuple[np.ndarray, CrossFit]]:
    """Yield each layer's cross-fitted sums of reductions by set, and the sizes of the sets.

    table: contributions in order of layer and neuron; pre and post: both checkpoints' caches.
    folds: (n_prompts,), the fold of each prompt. choose: sorts neurons into sets 0 to n_sets − 1.
    row: suffix of a subspace's columns, such as "_2", along which is summed.
    Yields (n_sets,) numbers of neurons, a mean over folds, and the CrossFit. A prompt alone leaves
    none to choose on: its values are NaN.
    """
    caches = {"pre": pre, "post": post}
    _, n_layers, d_mlp = pre["mlp_post"].shape
    stages = {stage: sum_folds(cache, folds) for stage, cache in caches.items()}
    components = {stage: value_components(table, stage, row) for stage in caches}
    means = {stage: sums.mean_without() for stage, sums in stages.items()}
    reduction = table[f"reduction{row}"].to_numpy()
    places = np.repeat(np.arange(n_layers) * n_sets, d_mlp)

    def choose_without(*left_out: int) -> np.ndarray:
        return places + choose(*(stages[stage].mean_without(*left_out) for stage in caches))

    n_folds = len(stages["pre"].sums)
    chosen = [choose_without(fold) for fold in range(n_folds)]
    n_places = n_layers * n_sets
    sizes = np.bincount(np.concatenate(chosen), minlength=n_places).reshape(n_layers, n_sets)
    values = _fold_values(stages, components, reduction, folds)
    shifts = _find_shifts(values, chosen, choose_without, n_places)
    shifts = shifts.reshape(n_folds, n_folds, n_layers, n_sets)
    for layer in range(n_layers):
        neurons = slice(layer * d_mlp, (layer + 1) * d_mlp)
        before, after = (
            LayerOfStage(
                cache["mlp_post"][:, layer],
                means[stage][neurons],
                components[stage][neurons],
                stages[stage].tokens,
            )
            for stage, cache in caches.items()
        )
        sets = [places_of_fold[neurons] - layer * n_sets for places_of_fold in chosen]
        prompt_values = _prompt_values(before, after, reduction[neurons], folds, sets, n_sets)
        if n_folds == 1:
            prompt_values[:] = np.nan
        yield sizes[layer] / n_folds, CrossFit(prompt_values, shifts[:, :, layer])


def _fold_values(
    stages: dict[str, FoldSums],
    components: dict[str, np.ndarray],
    reduction: np.ndarray,
    folds: np.ndarray,
) -> np.ndarray:
    """What each fold adds to each neuron's reduction: (n_folds, n_neurons)."""
    sizes = np.bincount(folds) / len(folds)
    parts = {stage: sums.parts_of_deviation() * components[stage] for stage, sums in stages.items()}
    values: np.ndarray = sizes[:, None] * reduction + parts["pre"] - parts["post"]
    return values


def _find_shifts(
    values: np.ndarray,
    chosen: list[np.ndarray],
    choose_without: Callable[..., np.ndarray],
    n_places: int,
) -> np.ndarray:
    """The shifts of a CrossFit, (n_folds, n_folds, n_places).

    values: (n_folds, n_neurons). chosen: each fold's places, (n_neurons,), of what others choose.
    """

    def sum_places(fold: int, places: np.ndarray) -> np.ndarray:
        return np.bincount(places, values[fold], n_places)

    own = [sum_places(fold, places) for fold, places in enumerate(chosen)]
    shifts = np.zeros((len(values), len(values), n_places))
    for first, second in combinations(range(len(values)), 2):
        places = choose_without(first, second)
        shifts[first, second] = own[first] - sum_places(first, places)
        shifts[second, first] = own[second] - sum_places(second, places)
    return shifts


@dataclass(frozen=True)
class LayerOfStage:
    """A layer of one checkpoint, as its cache and contributions have it."""

    mlp_post: np.ndarray
    """(n_prompts, d_mlp), each prompt's mean activations."""
    mean: np.ndarray
    """(d_mlp,), over all counted tokens."""
    components: np.ndarray
    """(d_mlp,), of the written vectors along the unit direction."""
    tokens: np.ndarray
    """(n_prompts,): counted tokens."""

    def deviations(
        self, prompts: np.ndarray, sets: np.ndarray, order: np.ndarray, n_sets: int
    ) -> np.ndarray:
        """What prompts add to the deviation of the sets' mean projections: (n, n_sets).

        prompts: (n,) indices. sets: (d_mlp,), each neuron's set. order: (d_mlp,), neurons by set.
        The mean over all prompts of a set's deviations is 0.
        """
        sums = sum_by_set(self.mlp_post[prompts], self.components, sets, order, n_sets)
        sums -= np.bincount(sets, self.mean * self.components, n_sets)
        weights = self.tokens * (len(self.tokens) / max(int(self.tokens.sum()), 1))
        deviations: np.ndarray = sums * weights[prompts, None]
        return deviations


def _prompt_values(
    pre: LayerOfStage,
    post: LayerOfStage,
    reduction: np.ndarray,
    folds: np.ndarray,
    chosen: list[np.ndarray],
    n_sets: int,
) -> np.ndarray:
    """Each prompt's reductions, summed over the sets that the other folds choose: (n, n_sets).

    reduction: (d_mlp,). chosen: each fold's sets, (d_mlp,), of what the others choose.
    """
    values = np.empty((len(folds), n_sets))
    for fold, sets in enumerate(chosen):
        prompts = np.flatnonzero(folds == fold)
        order = np.argsort(sets.astype(np.int16), kind="stable")  # a radix sort
        values[prompts] = np.bincount(sets, reduction, n_sets)
        values[prompts] += pre.deviations(prompts, sets, order, n_sets)
        values[prompts] -= post.deviations(prompts, sets, order, n_sets)
    return values
