"""The configuration of a study: checked whole before any job starts, and read by the rules."""

import re
import shlex
from collections.abc import Iterable
from dataclasses import asdict
from functools import cached_property
from typing import Any

from dpo_neurons.config_schema import check_schema, nearest
from dpo_neurons.data_files import matching_paths
from dpo_neurons.errors import InputError
from dpo_neurons.groups import GROUPS
from dpo_neurons.scorers.known_classifiers import KNOWN_CLASSIFIERS

STAGES = ("pre", "post")
UNPATCHED = {"none": "pre", "dpo": "post"}
"""The interventions that leave a checkpoint as it is, and which checkpoint that is."""
ALWAYS_READ = ("challenge_prompts", "reference_sentences", "perplexity_text")
READ_BY_TRAINING = {
    "training_text": ("pre", "train_from_scratch"),
    "demonstrations": ("post", "sft"),
    "preference_pairs": ("post", "dpo"),
}
"""The data set that each kind of training reads, and the stage that it makes."""


class Study:
    """One study's configuration, validated, keys that were left out filled with their defaults.

    The dictionary given is filled in place, since the rules read it.
    Raises InputError, naming the file and the key, for the first mistake.
    """

    def __init__(self, config: dict[str, Any], source: str) -> None:
        self.config = config
        self.source = source
        check_schema(config, source)
        self._check_names()
        self._check_needs()
        self._check_paths()

    @property
    def results(self) -> str:
        """Directory of the study's results."""
        return f"results/{self.config['study']}"

    @cached_property
    def interventions(self) -> dict[str, dict[str, Any]]:
        """Every row of the tables by name: the two unpatched ones, the configured, the controls."""
        rows: dict[str, dict[str, Any]] = {name: {"kind": "none"} for name in UNPATCHED}
        for name, row in self.config["interventions"].items():
            rows[name] = row
            if row["kind"] == "patch":
                rows[name.replace("patch_", "control_", 1)] = row | {"kind": "control"}
        return rows

    @cached_property
    def entries(self) -> dict[str, dict[str, Any]]:
        """What may be on the hub or on disk, by dotted key: data, checkpoints, scorer."""
        found = {f"data.{name}": entry for name, entry in self.config["data"].items()}
        for name, model in self.config["models"].items():
            found |= {f"models.{name}.{stage}": model[stage] for stage in STAGES}
        return {**found, "scorer": self.config["scorer"]}

    @property
    def on_hub(self) -> dict[str, dict[str, Any]]:
        """Those entries that are fetched from the hub."""
        return {key: entry for key, entry in self.entries.items() if "repository" in entry}

    @property
    def needed_data(self) -> dict[str, str]:
        """The data sets that the study reads, each with the reason."""
        needed = dict.fromkeys(ALWAYS_READ, "every study measures its models")
        for dataset, (stage, kind) in READ_BY_TRAINING.items():
            for name in self.models_with(stage, kind):
                needed[dataset] = f"models.{name}.{stage} is of kind {kind}"
        for name in self.names_with("directions", "probe"):
            needed["labelled_comments"] = f"directions.{name} is of kind probe"
        if self.config["scorer"]["kind"] == "lexicon":
            needed["lexicon"] = "scorer is of kind lexicon"
        return needed

    def data_paths(self, dataset: str) -> list[str]:
        """A data set's files on disk, the pattern in its path expanded."""
        return [str(path) for path in matching_paths([self.config["data"][dataset]["path"]])]

    def fetch_options(self, entry: str) -> str:
        """Command-line options of fetch_from_hub.py for an entry that is on the hub."""
        pinned = self.on_hub[entry]
        wanted = {key: pinned[key] for key in ("repository", "revision")}
        if "files" not in pinned:
            return options({**wanted, "type": "model"})
        return options({**wanted, "type": "dataset", "patterns": pinned["files"]})

    def selection_options(self, dataset: str) -> str:
        """Command-line options of import_data.py that say what to take from a data set's files."""
        entry = self.config["data"][dataset]
        keys = ("columns", "where", "rows", "prompt_words", "repository", "revision")
        return options({key: entry[key] for key in keys if key in entry})

    def scorer_options(self) -> str:
        """Command-line options of score_continuations.py that a score depends on."""
        scorer = self.config["scorer"]
        if scorer["kind"] == "lexicon":
            return options({"scorer": "lexicon"})
        if scorer["kind"] == "perspective":
            keys = ("attributes", "language", "endpoint")
            asked = {key: scorer[key] for key in keys if key in scorer}
            return options({"scorer": "perspective", **asked})
        known = KNOWN_CLASSIFIERS.get(scorer.get("repository", ""))
        read = {**(asdict(known) if known else {}), **scorer}
        chosen = {key: read[key] for key in ("label", "activation")}
        return options({"scorer": "classifier", **chosen})

    def scorer_run_options(self) -> str:
        """Those of its options that a score does not depend on."""
        scorer, compute = self.config["scorer"], self.config["compute"]
        if scorer["kind"] == "classifier":
            return options({key: compute[key] for key in ("batch_size", "device", "threads")})
        if scorer["kind"] == "perspective":
            return options({key: scorer[key] for key in ("queries_per_second", "store")})
        return ""

    def checkpoints_of_kind(self, *kinds: str) -> list[str]:
        """Checkpoints, as model/stage, of these kinds."""
        return [
            f"{name}/{stage}"
            for name, model in self.config["models"].items()
            for stage in STAGES
            if model[stage]["kind"] in kinds
        ]

    def checkpoint(self, model_and_stage: str) -> dict[str, Any]:
        """Configuration of a checkpoint, given as model/stage."""
        model, stage = model_and_stage.split("/")
        return self.config["models"][model][stage]

    def stage(self, intervention: str) -> str:
        """The checkpoint that an intervention runs on: keys are scaled in the second model."""
        scales_keys = self.interventions[intervention]["kind"] == "scale_keys"
        return UNPATCHED.get(intervention, "post" if scales_keys else "pre")

    def direction(self, intervention: str) -> str:
        """The direction that an intervention chooses its neurons by."""
        return self.interventions[intervention].get("direction", self.config["direction"])

    def plan_options(self, intervention: str) -> str:
        """Command-line options of write_plan.py that describe an intervention's plan."""
        row = self.interventions[intervention]
        described = {
            key: value for key, value in row.items() if key not in ("direction", "activation")
        }
        only_positive = " --only-positive" if "activation" in row else ""
        return f"--kind {row['kind']} {options(described)}".strip() + only_positive

    def models_with(self, stage: str, kind: str) -> list[str]:
        """Names of the models whose checkpoint of that stage is of that kind."""
        models = self.config["models"]
        return [name for name, model in models.items() if model[stage]["kind"] == kind]

    def names_with(self, section: str, kind: str) -> list[str]:
        """Names of a section's entries of one kind."""
        return [name for name, entry in self.config[section].items() if entry["kind"] == kind]

    def _check_names(self) -> None:
        config, directions = self.config, self.config["directions"]
        self._known("direction", config["direction"], directions, "directions")
        for name, row in config["interventions"].items():
            key = f"interventions.{name}"
            if name in UNPATCHED or not name.startswith(f"{row['kind']}_"):
                raise InputError(
                    f"{self.source}: {key}: the name of a row of kind {row['kind']} must begin "
                    f"with '{row['kind']}_'"
                )
            if "direction" in row:
                self._known(f"{key}.direction", row["direction"], directions, "directions")
            for group in row.get("groups", ()):
                self._known(f"{key}.groups", group, GROUPS, "groups")
        for name in self.names_with("directions", "svd"):
            others = [other for other in directions if directions[other]["kind"] != "svd"]
            self._known(f"directions.{name}.from", directions[name]["from"], others, "directions")
        ablated = config["figures"]["1a_layer_projections"]["ablated"]
        self._known(
            "figures.1a_layer_projections.ablated", ablated, self.interventions, "interventions"
        )

    def _check_needs(self) -> None:
        for dataset, why in self.needed_data.items():
            if dataset not in self.config["data"]:
                raise InputError(
                    f"{self.source}: {why}, which needs data.{dataset}; add {dataset} to data"
                )
        scorer = self.config["scorer"]
        known = KNOWN_CLASSIFIERS.get(scorer.get("repository", ""))
        if scorer["kind"] == "classifier" and not known:
            for key in ("label", "activation"):
                if key not in scorer:
                    raise InputError(
                        f"{self.source}: scorer: {key!r} is missing; add it, since it is known "
                        f"only for {', '.join(KNOWN_CLASSIFIERS)}"
                    )
        for name, entry in self.config["data"].items():
            if entry["kind"] == "synthetic" and name != "lexicon" and "rows" not in entry:
                raise InputError(f"{self.source}: data.{name}: the key 'rows' is missing; add it")
            if "prompt_words" in entry and name != "reference_sentences":
                raise InputError(
                    f"{self.source}: data.{name}: prompt_words is for reference_sentences alone; "
                    "leave it out"
                )

    def _check_paths(self) -> None:
        described = {**self.entries}
        described |= {f"directions.{name}": one for name, one in self.config["directions"].items()}
        for key, entry in described.items():
            for name in ("path", "like"):
                if name in entry:
                    self._there(f"{key}.{name}", entry[name])

    def _there(self, key: str, path: str) -> None:
        try:
            matching_paths([path])
        except InputError:
            raise InputError(
                f"{self.source}: {key}: {path} does not exist; give a path that does, relative to "
                "where snakemake is started"
            ) from None

    def _known(self, key: str, name: str, known: Iterable[str], what: str) -> None:
        if name not in known:
            raise InputError(
                f"{self.source}: {key}: {name!r} is not one of the {what} "
                f"({', '.join(known)}){nearest(name, known)}"
            )


def one_of(names: Iterable[str]) -> str:
    """Regular expression that matches the names and nothing else, for a wildcard."""
    return "|".join(re.escape(name) for name in names) or r"(?!)"


def options(entry: dict[str, Any]) -> str:
    """An entry of the configuration as command-line options, its kind left out.

    A mapping becomes pairs name=value; true and false are written as in YAML.
    """
    words = []
    for key, value in entry.items():
        if key != "kind":
            words += [f"--{key.replace('_', '-')}", *map(shlex.quote, _words(value))]
    return " ".join(words)


def _words(value: Any) -> list[str]:  # noqa: ANN401
    if isinstance(value, dict):
        return [f"{name}={_word(one)}" for name, one in value.items()]
    return [_word(one) for one in (value if isinstance(value, list) else [value])]


def _word(value: Any) -> str:  # noqa: ANN401
    return str(value).lower() if isinstance(value, bool) else str(value)
