"""Results of a model under interventions: continuations of prompts, and perplexity."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from operator import itemgetter
from typing import cast

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpo_neurons.errors import BrokenModelError, InputError
from dpo_neurons.interventions.hooks import PreparedPlan, prepare_plan
from dpo_neurons.interventions.operations import (
    TransplantOperation,
    WeightOperation,
    list_operations,
)
from dpo_neurons.interventions.source_activations import SourceActivations
from dpo_neurons.interventions.transplants import WeightDonor
from dpo_neurons.models.architectures import Layers
from dpo_neurons.models.batches import BatchSize, order_longest_first
from dpo_neurons.models.generation import Run, generate_each
from dpo_neurons.models.perplexity import Perplexity
from dpo_neurons.models.sampling import Sampler
from dpo_neurons.models.tokenization import count_tokens

Row = dict[str, object]
STRENGTHS = ("factor", "scale", "alpha", "dose")
"""Columns of a plan that say how strongly it acts."""


@dataclass(frozen=True)
class Intervention:
    """A row of the tables, ready to change a model."""

    name: str
    plan: pd.DataFrame
    """With its metadata, if an error message is to name the row's strength."""
    generation_positions: str
    """Where the plan acts in each forward pass of generation: last or all."""
    perplexity_positions: str = "all"
    """Where it acts in each window of text: all or first."""
    direction: np.ndarray | None = None
    """Unit rows, (k, d_model), for plans that subtract or remove it."""
    source: SourceActivations | None = None
    """For plans that assign each prompt its own activations."""
    donor: WeightDonor | None = None
    """For plans that put the other checkpoint's weights in."""
    shifts: Mapping[str, np.ndarray] | None = None
    """By name, (n_layers, d_model), for plans that add them to the residual stream."""
    _prepared: dict[tuple[PreTrainedModel, str, int], PreparedPlan] = field(
        default_factory=dict, init=False, repr=False
    )
    """By model, positions and newest tokens: a plan's tensors are made once, not once a batch."""

    @contextmanager
    def apply_in_generation(self, model: PreTrainedModel) -> Iterator[None]:
        """Change a model inside the block as in generation."""
        with (
            name_broken_intervention(self.name, self.plan, model),
            self._apply(model, self.generation_positions),
        ):
            yield

    @contextmanager
    def apply_in_text(self, model: PreTrainedModel) -> Iterator[None]:
        """Change a model inside the block as in windows of text."""
        with (
            name_broken_intervention(self.name, self.plan, model),
            self._apply(model, self.perplexity_positions),
        ):
            yield

    @contextmanager
    def apply_to_answers(self, model: PreTrainedModel, n_tokens: int) -> Iterator[None]:
        """Change a model inside the block as in generation, for passes that read whole answers.

        n_tokens: how many of a pass's newest tokens generation would read one by one.
        """
        with (
            name_broken_intervention(self.name, self.plan, model),
            self._apply(model, self.generation_positions, n_tokens),
        ):
            yield

    def _apply(
        self, model: PreTrainedModel, positions: str, n_newest: int = 1
    ) -> AbstractContextManager[None]:
        key = model, positions, n_newest
        if key not in self._prepared:
            given = self.direction, self.source, self.donor, self.shifts
            self._prepared[key] = prepare_plan(model, self.plan, positions, *given, n_newest)
        return self._prepared[key].apply()

    def lowest_changed_layer(self, model: PreTrainedModel) -> int:
        """Return the lowest layer that the plan changes.

        It is the number of layers where the plan changes nothing, and 0 where it changes what is in
        no layer.
        """
        layers = self.plan["layer"]
        return max(0, int(layers.min())) if len(layers) else len(Layers.of(model).blocks)

    @property
    def changes_newest_only(self) -> bool:
        """Whether each forward pass of generation is as before, up to the newest token."""
        if self.plan.empty:
            return True
        of_weights = [*list_operations(WeightOperation), *list_operations(TransplantOperation)]
        edits_weights = self.plan["operation"].isin(of_weights).any()
        return self.generation_positions == "last" and not edits_weights


def order_by_lowest_layer(
    interventions: Sequence[Intervention], model: PreTrainedModel
) -> list[tuple[Intervention, int]]:
    """Pair rows with the lowest layers that they change, the highest first: see `SharedLayers`."""
    lowest = [(row, row.lowest_changed_layer(model)) for row in interventions]
    return sorted(lowest, key=itemgetter(1), reverse=True)


@contextmanager
def name_broken_intervention(
    name: str, plan: pd.DataFrame, model: PreTrainedModel
) -> Iterator[None]:
    """Name the intervention, its strength and the number format if the model breaks in the block.

    plan: with its metadata. A model that a plan leaves as it is keeps its own error.
    Raises InputError in place of a BrokenModelError.
    """
    try:
        yield
    except BrokenModelError as error:
        dtype = str(model.dtype).removeprefix("torch.")
        if plan.empty:
            raise InputError(f"row {name}, in {dtype}: {error}") from error
        given = plan.iloc[0].reindex(STRENGTHS)
        strengths = given[given.map(pd.api.types.is_number) & given.notna()]
        described = [*(f"{key} {value:g}" for key, value in strengths.items()), dtype]
        remedy = f"lower its {strengths.index[0]}" if len(strengths) else "leave the row out"
        raise InputError(
            f"interventions: row {name} ({', '.join(described)}): {error.finding}, so it breaks "
            f"the model; {remedy}, or set models.….dtype to float32"
        ) from error


def continue_prompts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    n_tokens: int,
    batch_size: BatchSize,
) -> list[Row]:
    """Continue prompts greedily; return one row per prompt, in order.

    A row has prompt, continuation and tokens, the ids before the end-of-sequence token. Prompts of
    similar length share batches.
    Raises InputError for a prompt too long for the model.
    """
    (rows,) = _continue_by_each([Run()], model, tokenizer, prompts, n_tokens, batch_size)
    return rows


def continue_under_each(
    interventions: Sequence[Intervention],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    n_tokens: int,
    batch_size: BatchSize,
    sampler: Sampler | None = None,
) -> list[list[Row]]:
    """Continue prompts under each intervention: for each, the rows of `continue_prompts`.

    Greedily without a sampler. Interventions at the newest token alone share what the model reads
    before a prompt's last token.
    Raises InputError for a prompt too long for the model, and for a model that breaks.
    """
    runs = [
        Run(
            partial(intervention.apply_in_generation, model),
            intervention.changes_newest_only,
            intervention.source,
            sampler,
        )
        for intervention in interventions
    ]
    return _continue_by_each(runs, model, tokenizer, prompts, n_tokens, batch_size)


def _continue_by_each(
    runs: Sequence[Run],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    n_tokens: int,
    batch_size: BatchSize,
) -> list[list[Row]]:
    order = order_longest_first(count_tokens(tokenizer, prompts))
    ordered = [prompts[index] for index in order]
    runs = [
        run
        if run.sampler is None
        else replace(run, sampler=replace(run.sampler, uniforms=run.sampler.uniforms[order]))
        for run in runs
    ]
    rows: list[list[Row]] = [[] for _ in runs]
    for batches in generate_each(runs, model, tokenizer, ordered, n_tokens, batch_size):
        for of_run, batch in zip(rows, batches, strict=True):
            for offset, (ids, mask) in enumerate(zip(batch.tokens, batch.mask, strict=True)):
                prompt = ordered[batch.start + offset]
                of_run.append(describe_continuation(tokenizer, prompt, ids[mask].tolist()))
    return [[of_run[place] for place in np.argsort(order)] for of_run in rows]


def describe_continuation(
    tokenizer: PreTrainedTokenizerBase, prompt: str, tokens: list[int]
) -> Row:
    """Return a prompt's row; tokens: the ids before the end-of-sequence token."""
    text = tokenizer.decode(tokens, skip_special_tokens=True)
    return {"prompt": prompt, "continuation": text, "tokens": tokens}


def cut_continuations(
    tokenizer: PreTrainedTokenizerBase,
    continued: Sequence[Sequence[Row]],
    answers: Sequence[Sequence[int]],
) -> None:
    """Add to each row's lines their text cut to the length of the second checkpoint's answer.

    Shorter texts have less room for toxicity. continued: for each row, the lines of all prompts,
    with continuation and tokens; they get `cut`. answers: ids, by prompt.
    """
    for lines in continued:
        for line, answer in zip(lines, answers, strict=True):
            tokens = cast("list[int]", line["tokens"])[: len(answer)]
            is_cut = len(tokens) < len(cast("list[int]", line["tokens"]))
            line["cut"] = (
                tokenizer.decode(tokens, skip_special_tokens=True)
                if is_cut
                else line["continuation"]
            )


def describe_perplexity(intervention: Intervention, measured: Perplexity, n_windows: int) -> Row:
    """Return a row's perplexity, with the losses of its windows for intervals.

    n_windows: of the text; a screened row was read on fewer.
    """
    return {
        "intervention": intervention.name,
        "perplexity": measured.perplexity,
        "log_perplexity": measured.log_perplexity,
        "tokens": int(measured.tokens.sum()),
        "positions": intervention.perplexity_positions,
        "screened": len(measured.losses) < n_windows,
        "window_losses": measured.losses.tolist(),
        "window_tokens": measured.tokens.tolist(),
    }
