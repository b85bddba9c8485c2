"""Sampling of tokens that does not depend on batches: each prompt has its own random numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampler:
    """Samples tokens from a model's predictions, with given random numbers."""

    uniforms: np.ndarray
    """(n_prompts, n_tokens) in [0, 1): one for each token of each prompt's continuation."""
    temperature: float = 1.0
    top_p: float = 1.0
    """Only the most likely tokens that together have this probability are sampled."""

    def choose_for(self, prompts: Sequence[int]) -> Callable[[Tensor, int], Tensor]:
        """Make the function that chooses tokens for a batch of prompts, given by number."""
        uniforms = torch.tensor(self.uniforms[list(prompts)])

        def choose(logits: Tensor, step: int) -> Tensor:
            return sample_tokens(logits, uniforms[:, step], self.temperature, self.top_p)

        return choose


def sample_tokens(logits: Tensor, uniforms: Tensor, temperature: float, top_p: float) -> Tensor:
    """Sample a token from each row of logits, (batch, vocabulary): (batch,).

    Tokens are laid side by side, the likeliest first, each as wide as its probability; the one that
    a uniform number, (batch,), falls on is chosen. Nucleus sampling (Holtzman et al. 2020) keeps
    the fewest tokens whose probabilities sum to top_p or more.
    """
    shares, tokens = torch.softmax(logits.double() / temperature, dim=-1).sort(
        dim=-1, descending=True, stable=True
    )
    ends = shares.cumsum(dim=-1)
    # A token is in the nucleus if those before it do not yet reach top_p.
    nucleus = (ends - shares < top_p).sum(dim=-1, keepdim=True)
    mass = ends.gather(-1, nucleus - 1)
    aim = uniforms.to(ends)[:, None] * mass
    place = torch.searchsorted(ends, aim, right=True).minimum(nucleus - 1)
    return tokens.gather(-1, place)[:, 0]


def draw_uniforms(n_prompts: int, n_tokens: int, seed: int, sample: int) -> np.ndarray:
    """Draw the random numbers of one sample of each prompt: (n_prompts, n_tokens)."""
    return np.random.default_rng([seed, sample]).random((n_prompts, n_tokens))
