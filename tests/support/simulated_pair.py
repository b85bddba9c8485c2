"""Caches of a made-up pair of checkpoints, whose true reductions are known."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dpo_neurons.neurons.contributions import compute_contributions

LAYERS, WIDTH, TOKENS = 2, 40, 20


@dataclass(frozen=True)
class SimulatedPair:
    """What is true of each neuron, (LAYERS, WIDTH), and how prompts scatter around it."""

    along: np.ndarray
    mean_pre: np.ndarray
    mean_post: np.ndarray
    loadings: np.ndarray
    """(k, LAYERS * WIDTH), of what moves many neurons at once on a prompt."""

    @property
    def reduction(self) -> np.ndarray:
        """True reductions, (n_neurons,)."""
        return ((self.mean_pre - self.mean_post) * self.along).ravel()

    def draw(self, n_prompts: int, random: np.random.Generator) -> tuple[pd.DataFrame, dict, dict]:
        """Contributions and the two caches of a sample of prompts, of unequal lengths."""
        caches, means = [], []
        for mean in (self.mean_pre, self.mean_post):
            tokens = random.integers(3, TOKENS + 1, n_prompts)
            own = random.standard_t(5, size=(n_prompts, mean.size)) * 0.75
            shared = random.normal(size=(n_prompts, len(self.loadings))) @ self.loadings
            mlp_post = mean.ravel() + (own + shared) * np.sqrt(10 / tokens)[:, None]
            mlp_post = mlp_post.reshape(n_prompts, *mean.shape).astype(np.float16)
            caches.append({"mlp_post": mlp_post, "mask": np.arange(TOKENS) < tokens[:, None]})
            means.append(np.einsum("pln,p->ln", mlp_post.astype(float), tokens) / tokens.sum())
        norms = np.abs(self.along) + 1
        return compute_contributions(*means, self.along, self.along, norms, "v1"), *caches


def simulated_pair(regime: str) -> SimulatedPair:
    """A pair whose fine-tuning moved nothing ("noise"), every neuron ("real"), or some ("mixture").

    Real moves are several standard errors of 60 prompts long.
    """
    random = np.random.default_rng(3)
    shape = (LAYERS, WIDTH)
    along, mean_pre = random.normal(size=shape), random.normal(0, 0.5, shape)
    moves = random.normal(0, 0.4, shape) - 0.3 * np.sign(along)
    moved = {"noise": 0.0, "real": 1.0, "mixture": random.random(shape) < 0.25}[regime]
    loadings = random.normal(size=(2, LAYERS * WIDTH)) * 0.3
    return SimulatedPair(along, mean_pre, mean_pre + moves * moved, loadings)
