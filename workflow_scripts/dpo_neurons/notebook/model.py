"""A checkpoint in a notebook: capture, generate, apply a plan, measure perplexity."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.activations.capture import ActivationCapture
from dpo_neurons.checkpoints.pair import apply_pair, examine_pair
from dpo_neurons.checkpoints.tokenizer_comparison import describe_differences
from dpo_neurons.errors import InputError
from dpo_neurons.interventions.hooks import apply_plan
from dpo_neurons.interventions.outputs import continue_prompts
from dpo_neurons.interventions.transplants import WeightDonor
from dpo_neurons.models.batches import first_batch_size
from dpo_neurons.models.generation import generate_greedily
from dpo_neurons.models.loading import load_model as load_checkpoint
from dpo_neurons.models.loading import load_tokenizer
from dpo_neurons.models.perplexity import measure_perplexity
from dpo_neurons.models.value_vectors import project_written_vectors
from dpo_neurons.neurons.contributions import compute_contributions as tabulate_contributions


@dataclass(frozen=True)
class Activations:
    """Activations of a model that continued prompts, in the prompts' order."""

    mlp_post: np.ndarray
    """(n_prompts, n_layers, d_mlp) float32: mean over each prompt's counted tokens."""
    mlp_post_mean: np.ndarray
    """(n_layers, d_mlp) float64: mean over all counted tokens."""
    mlp_out_mean: np.ndarray
    """(n_layers, d_model) float64: mean output of each MLP over the same tokens."""
    resid_post: np.ndarray
    """(n_prompts, n_layers, d_model) float32: the residual stream after each block."""
    tokens: np.ndarray
    """(n_prompts, n_tokens): the generated tokens."""
    mask: np.ndarray
    """(n_prompts, n_tokens) bool: which tokens count."""


@dataclass(frozen=True)
class Model:
    """A checkpoint ready for inference, with its tokenizer."""

    checkpoint: Path
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @contextmanager
    def apply_plan(
        self,
        plan: pd.DataFrame,
        positions: Literal["last", "all"] = "last",
        direction: np.ndarray | None = None,
        donor: Self | None = None,
    ) -> Iterator[None]:
        """Apply a plan inside the block; afterwards the model is bit-identical to before.

        direction: unit rows, (k, d_model), for plans that subtract or remove it. donor: the other
        model of a pair, for plans that put its weights in.
        Raises InputError for a plan that does not fit the model.
        """
        weights = None if donor is None else WeightDonor(donor.model)
        with apply_plan(self.model, plan, positions, direction, donor=weights):
            yield

    def generate(
        self,
        prompts: Sequence[str],
        tokens: int = 20,
        plan: pd.DataFrame | None = None,
        positions: Literal["last", "all"] = "last",
    ) -> pd.DataFrame:
        """Continue prompts greedily; return one row per prompt."""
        block = nullcontext() if plan is None else self.apply_plan(plan, positions)
        with block:
            return pd.DataFrame(
                continue_prompts(self.model, self.tokenizer, list(prompts), tokens, "auto")
            )

    def capture(
        self,
        prompts: Sequence[str],
        tokens: int = 20,
        positions: Literal["generated", "predicting"] = "generated",
    ) -> Activations:
        """Read activations while the model continues prompts, in the same pass.

        Inside a block of `apply_plan`, the activations are those after the plan's changes.
        """
        batches, sums = [], []
        with ActivationCapture(self.model, positions) as capture:
            for batch in generate_greedily(
                self.model, self.tokenizer, list(prompts), tokens, "auto", capture, progress=None
            ):
                batches.append(batch)
                sums.append({name: total.cpu().numpy() for name, total in capture.sums.items()})
        mask = np.concatenate([batch.mask for batch in batches])
        counts = mask.sum(axis=1)
        summed = {name: np.concatenate([part[name] for part in sums]) for name in sums[0]}
        per_prompt = np.maximum(counts, 1)[:, None, None]
        total = max(int(counts.sum()), 1)
        return Activations(
            mlp_post=summed["mlp_post"] / per_prompt.astype(np.float32),
            mlp_post_mean=summed["mlp_post"].sum(axis=0, dtype=np.float64) / total,
            mlp_out_mean=summed["mlp_out"].sum(axis=0, dtype=np.float64) / total,
            resid_post=summed["resid_post"] / per_prompt.astype(np.float32),
            tokens=np.concatenate([batch.tokens for batch in batches]),
            mask=mask,
        )

    def measure_perplexity(
        self,
        texts: Sequence[str],
        window: int = 128,
        plan: pd.DataFrame | None = None,
    ) -> float:
        """Measure the perplexity of texts; a plan acts at all positions."""
        size = first_batch_size("auto", self.model.device)
        block = nullcontext() if plan is None else self.apply_plan(plan, "all")
        with block:
            measured = measure_perplexity(self.model, self.tokenizer, list(texts), window, size)
        return measured.perplexity


def load_model(checkpoint: Path | str, dtype: str = "float32", device: str = "cpu") -> Model:
    """Load a Hugging Face checkpoint directory of a known architecture.

    Texts end at any token that its tokenizer, config.json or generation_config.json names. To
    compare two checkpoints, load them with `load_pair`.
    Raises InputError if the directory is not a checkpoint or its architecture is unknown.
    """
    return load_pair(checkpoint, checkpoint, dtype, device)[0]


def load_pair(
    pre: Path | str, post: Path | str, dtype: str = "float32", device: str = "cpu"
) -> tuple[Model, Model]:
    """Load two checkpoints so that they read texts alike, as a study does.

    The tokenizer is that of the first, for both; texts end at any token that either names.
    Raises InputError as `load_model` does, and for two that cannot be compared.
    """
    paths = Path(pre), Path(post)
    pair = examine_pair(*paths)
    tokenizer = load_tokenizer(paths[0])

    def load(path: Path) -> Model:
        model = load_checkpoint(path, dtype, device)
        apply_pair(model, pair)
        return Model(path, model, tokenizer)

    first = load(paths[0])
    return first, first if paths[0] == paths[1] else load(paths[1])


def compute_contributions(
    pre: Model,
    post: Model,
    activations_pre: Activations,
    activations_post: Activations,
    direction: np.ndarray,
    definition: Literal["v1", "v3"] = "v1",
) -> pd.DataFrame:
    """Compute each neuron's contribution along a direction: one row for each neuron.

    Yang et al. 2024 (arXiv 2411.06424v1), equation 1. direction: unit rows, (k, d_model); only the
    first one counts. The table has the columns of a study's contributions.
    Raises InputError for models that read or end texts differently.
    """
    ends = [model.model.generation_config.eos_token_id for model in (pre, post)]
    if ends[0] != ends[1] or describe_differences(pre.tokenizer, post.tokenizer):
        raise InputError(
            f"{post.checkpoint}: reads or ends texts otherwise than {pre.checkpoint}; load the two "
            "with load_pair"
        )
    unit = np.atleast_2d(direction)[0]
    along_pre, norms_pre, _ = project_written_vectors(pre.checkpoint, unit, Path("direction"))
    along_post, _, _ = project_written_vectors(post.checkpoint, unit, Path("direction"))
    means = activations_pre.mlp_post_mean, activations_post.mlp_post_mean
    return tabulate_contributions(*means, along_pre, along_post, norms_pre, definition)
