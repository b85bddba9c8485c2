"""Both checkpoints of a pair, loaded: one is changed, and either may lend what a row puts in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from dpo_neurons.interventions.outputs import Intervention
from dpo_neurons.interventions.plans import empty_plan
from dpo_neurons.interventions.source_activations import SourceActivations
from dpo_neurons.interventions.transplants import WeightDonor
from dpo_neurons.study.study import STAGES


@dataclass(frozen=True)
class GivenVectors:
    """Vectors that plans refer to and do not hold."""

    direction: np.ndarray | None
    """Unit rows, (k, d_model)."""
    shifts: Mapping[str, np.ndarray] | None
    """By name, (n_layers, d_model): mean shifts of the stream, or random vectors."""


@dataclass(frozen=True)
class LoadedPair:
    """The models of a pair, of which rows change one."""

    models: Mapping[str, PreTrainedModel]
    """By stage, pre and post."""
    changed_stage: str
    load: Callable[[str], PreTrainedModel]
    """Loads a stage's model once more."""
    _sources: dict[str, PreTrainedModel] = field(default_factory=dict, init=False)
    _donors: dict[str, WeightDonor] = field(default_factory=dict, init=False)

    @property
    def changed(self) -> PreTrainedModel:
        """The model that rows change; outside of their blocks it is as it was loaded."""
        return self.models[self.changed_stage]

    @property
    def references(self) -> dict[str, PreTrainedModel]:
        """The unchanged models by the rows that stand for them."""
        return dict(zip(("none", "dpo"), (self.models[stage] for stage in STAGES), strict=True))

    def prepare(
        self,
        row: Mapping[str, str],
        plans: Mapping[str, pd.DataFrame],
        vectors: GivenVectors,
        n_tokens: int,
    ) -> Intervention:
        """Prepare a row, as the option --rows describes it, to change the model.

        plans: by row; a row without one changes nothing. n_tokens: that are generated.
        """
        plan = plans.get(row["intervention"], empty_plan())
        source, donor = row.get("source_stage"), row.get("donor_stage")
        return Intervention(
            row["intervention"],
            plan,
            row["generation_positions"],
            row["perplexity_positions"],
            vectors.direction,
            None
            if source is None or plan.empty
            else SourceActivations(self._source(source), plan, n_tokens, row["source_positions"]),
            None if donor is None else self._donor(donor),
            vectors.shifts,
        )

    def _source(self, stage: str) -> PreTrainedModel:
        if stage not in self._sources:
            # The changed model cannot be the source too.
            again = stage == self.changed_stage
            self._sources[stage] = self.load(stage) if again else self.models[stage]
        return self._sources[stage]

    def _donor(self, stage: str) -> WeightDonor:
        # One for all rows: it keeps decomposed matrices.
        return self._donors.setdefault(stage, WeightDonor(self.models[stage]))
