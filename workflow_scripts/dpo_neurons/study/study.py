"""A study's configuration, as the rules read it after `study.checks` has checked it."""

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from dpo_neurons.study.data_files import matching_paths
from dpo_neurons.study.intervention_rows import (
    UNPATCHED,
    ranking_of,
    rows_by_entry,
    stage_of,
    table_rows,
)
from dpo_neurons.study.messages import CHAT_KEYS

STAGES = ("pre", "post")
KEY_OF_FIRST_SCORER = "scorer"
"""Only its score is called toxicity."""
SAME_IN_ANY_BATCH = ("float32", "float64")
"""Number formats that round too little for batches of other prompts to change greedy texts."""
PUBLISHED_ABLATION = "ablate_top_200"
ALWAYS_READ = ("challenge_prompts", "reference_sentences", "perplexity_text")
TUNED_ON_PAIRS = ("dpo", "kto", "orpo", "simpo")
"""Kinds of second checkpoints that are tuned here on preference pairs."""
TUNED_HERE = (*TUNED_ON_PAIRS, "sft")
"""Kinds of second checkpoints that the workflow tunes from the first."""
READ_BY_TRAINING = {
    "training_text": ("pre", ("train_from_scratch",)),
    "demonstrations": ("post", ("sft",)),
    "preference_pairs": ("post", TUNED_ON_PAIRS),
}
"""For each data set that training reads: the stage and the kinds of that training."""


class Study:
    """The complete configuration of one study; `check_study` fills in omitted keys."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    @property
    def results(self) -> str:
        """Directory of the study's results."""
        return f"results/{self.config['study']}"

    @cached_property
    def rows_by_entry(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The rows of each entry of `interventions`, by name; see `rows_by_entry`."""
        return rows_by_entry(self.config["interventions"])

    @cached_property
    def interventions(self) -> dict[str, dict[str, Any]]:
        """Every row of the tables by name, controls included."""
        return table_rows(self.config["interventions"])

    @cached_property
    def entries(self) -> dict[str, dict[str, Any]]:
        """Entries that may be on the hub or on disk, by dotted key: data, checkpoints, scorers."""
        entries = {f"data.{name}": entry for name, entry in self.config["data"].items()}
        for name, model in self.config["models"].items():
            entries |= {f"models.{name}.{stage}": model[stage] for stage in STAGES}
        return entries | self.scorers

    @property
    def scorers(self) -> dict[str, dict[str, Any]]:
        """All scorers by dotted key; the first gives toxicity."""
        further = self.config["further_scorers"].items()
        return {
            KEY_OF_FIRST_SCORER: self.config["scorer"],
            **{f"further_scorers.{name}": settings for name, settings in further},
        }

    @property
    def on_hub(self) -> dict[str, dict[str, Any]]:
        """The entries that are fetched from the hub."""
        return {key: entry for key, entry in self.entries.items() if "repository" in entry}

    @property
    def needed_data(self) -> dict[str, str]:
        """The data sets that the study reads, each with the reason."""
        needed = dict.fromkeys(ALWAYS_READ, "every study measures its models")
        for dataset, (stage, kinds) in READ_BY_TRAINING.items():
            for name in self.models_with(stage, *kinds):
                kind = self.config["models"][name][stage]["kind"]
                needed[dataset] = f"models.{name}.{stage} is of kind {kind}"
        for model, autoencoders in self.autoencoders.items():
            for name, settings in autoencoders.items():
                if settings["kind"] == "train":
                    why = f"models.{model}.autoencoders.{name} is of kind train"
                    needed.setdefault("training_text", why)
        for kind in ("difference", "probe"):
            for name in self.names_with("directions", kind):
                needed["labelled_comments"] = f"directions.{name} is of kind {kind}"
        for name in self.names_with("directions", "pair_svd"):
            needed.setdefault("preference_pairs", f"directions.{name} is of kind pair_svd")
        for name, row in self.interventions.items():
            if ranking_of(row) == "auroc":
                needed["labelled_comments"] = f"interventions.{name} ranks neurons by AUROC"
        for key, scorer in self.scorers.items():
            if scorer["kind"] == "lexicon":
                needed["lexicon"] = f"{key} is of kind lexicon"
        return needed

    def renders(self, model: str, dataset: str) -> bool:
        """Whether a model reads a data set as its chat template renders it."""
        return "chat" in self.config["models"][model] and dataset in CHAT_KEYS

    @property
    def rendered_data(self) -> list[tuple[str, str]]:
        """List the model and the data set of all that chat templates render."""
        return [
            (model, dataset)
            for model, settings in self.config["models"].items()
            for dataset in self.needed_data
            if self.renders(model, dataset) and self._is_read(settings, dataset)
        ]

    def _is_read(self, settings: dict[str, Any], dataset: str) -> bool:
        """Whether a model with these settings reads a data set that the study needs."""
        if dataset not in READ_BY_TRAINING:
            return True
        stage, kinds = READ_BY_TRAINING[dataset]
        by_direction = dataset == "preference_pairs" and self.names_with("directions", "pair_svd")
        return bool(settings[stage]["kind"] in kinds or by_direction)

    @property
    def autoencoders(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The settings of each sparse autoencoder, by model and name."""
        return {name: model["autoencoders"] for name, model in self.config["models"].items()}

    def data_paths(self, dataset: str) -> list[str]:
        """List a data set's files on disk, the pattern in its path expanded."""
        return [str(path) for path in matching_paths([self.config["data"][dataset]["path"]])]

    def checkpoints_of_kind(self, *kinds: str) -> list[str]:
        """Name the checkpoints, as model/stage, of these kinds."""
        return [
            f"{name}/{stage}"
            for name, model in self.config["models"].items()
            for stage in STAGES
            if model[stage]["kind"] in kinds
        ]

    def checkpoint(self, model_and_stage: str) -> dict[str, Any]:
        """Return the configuration of a checkpoint, given as model/stage."""
        model, stage = model_and_stage.split("/")
        settings: dict[str, Any] = self.config["models"][model][stage]
        return settings

    def shared_checkpoint(self, model_and_stage: str) -> str:
        """Name the checkpoint, as model/stage, that one of kind `same_as` is."""
        settings = self.checkpoint(model_and_stage)
        return f"{settings['model']}/{settings['stage']}"

    @property
    def drawn_ablation(self) -> str | None:
        """The row that figure 1a draws beside the two checkpoints; None without ablations.

        The default is the paper's ablation, or else the study's first.
        """
        chosen: str | None = self.config["figures"]["1a_layer_projections"].get("ablated")
        ablations = [PUBLISHED_ABLATION, *self.rows_of_kind("ablate")]
        return chosen or next((name for name in ablations if name in self.interventions), None)

    def captured_row(self, model: str, entry: str) -> dict[str, str]:
        """Name an entry's row whose continuations a capture holds, and the capture; or neither.

        In other number formats than SAME_IN_ANY_BATCH the capture's texts are not the row's.
        """
        if self.config["models"][model]["dtype"] not in SAME_IN_ANY_BATCH:
            return {}
        captures = dict(UNPATCHED)
        if self.drawn_ablation:
            captures[self.drawn_ablation] = self.drawn_ablation
        return {name: captures[name] for name in self.rows_by_entry[entry] if name in captures}

    def stage(self, entry: str) -> str:
        """Name the checkpoint, pre or post, that an entry's rows run on."""
        (stage,) = {stage_of(name, row) for name, row in self.rows_by_entry[entry].items()}
        return stage

    def direction(self, entry: str) -> str:
        """Name the direction that an entry's rows go by: its own, or the study's."""
        settings = self.config["interventions"].get(entry, {})
        return str(settings.get("direction", self.config["direction"]))

    def entry_of(self, intervention: str) -> str:
        """Name the entry of `interventions` that a row belongs to."""
        return next(entry for entry, rows in self.rows_by_entry.items() if intervention in rows)

    @property
    def entries_of_direction(self) -> list[str]:
        """Name the entries whose rows go by the study's own direction."""
        own = self.config["direction"]
        return [entry for entry in self.rows_by_entry if self.direction(entry) == own]

    @property
    def entries_with_random_sets(self) -> list[str]:
        """Name the entries whose rows are compared with random sets of neurons."""
        entries = self.config["interventions"].items()
        return [name for name, settings in entries if "random_sets" in settings]

    @property
    def sampled_entries(self) -> list[str]:
        """Name the entries with rows that are sampled."""
        return [entry for entry in self.rows_by_entry if self.sampled_rows(entry)]

    def sampled_rows(self, entry: str) -> list[str]:
        """Name the rows of an entry that are sampled."""
        sampled = self.config["sampling"]["rows"]
        return [name for name in self.rows_by_entry[entry] if name in sampled]

    def rows_of_kind(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the rows of the tables that are of one kind, by name."""
        return {name: row for name, row in self.interventions.items() if row["kind"] == kind}

    @property
    def has_edit_grid(self) -> bool:
        """Whether a row edits a share β of neurons, which figure 11 draws."""
        return any("beta" in row for row in self.rows_of_kind("edit").values())

    def models_with(self, stage: str, *kinds: str) -> list[str]:
        """Name the models whose checkpoint of that stage is of one of these kinds."""
        models = self.config["models"]
        return [name for name, model in models.items() if model[stage]["kind"] in kinds]

    @property
    def seeds_by_recipe(self) -> dict[str, list[str]]:
        """List, for each model whose recipe others repeat, it and the others, in order."""
        recipes = {
            name: model["seed_of"]
            for name, model in self.config["models"].items()
            if "seed_of" in model
        }
        return {
            recipe: [recipe, *(name for name, other in recipes.items() if other == recipe)]
            for recipe in dict.fromkeys(recipes.values())
        }

    @property
    def models_with_published_numbers(self) -> list[str]:
        """Name the models to compare with published numbers."""
        return [name for name, model in self.config["models"].items() if "published" in model]

    def names_with(self, section: str, kind: str) -> list[str]:
        """Name a section's entries of one kind."""
        return [name for name, entry in self.config[section].items() if entry["kind"] == kind]


def any_of(names: Iterable[str]) -> str:
    """Return a wildcard's regular expression that matches exactly these names."""
    return "|".join(re.escape(name) for name in names) or r"(?!)"
