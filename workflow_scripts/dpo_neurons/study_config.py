"""The configuration of a study: checked whole before any job starts, and read by the rules.

Holds no defaults: what a study does stands in its file.
"""

import difflib
import re
import shlex
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match

from dpo_neurons.errors import InputError
from dpo_neurons.groups import GROUPS

SCHEMA = Path(__file__).parents[2] / "schemas" / "config.schema.yaml"
STAGES = ("pre", "post")
UNPATCHED = {"none": "pre", "dpo": "post"}
"""The interventions that leave a checkpoint as it is, and which checkpoint that is."""


class Study:
    """One study's configuration, validated.

    Raises InputError, naming the file and the key, for the first mistake.
    """

    def __init__(self, config: dict[str, Any], source: str) -> None:
        self.config = config
        self.source = source
        self._check_schema()
        self._check_references()
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

    @property
    def checkpoint_directories(self) -> dict[str, str]:
        """Where the checkpoints are that a user brings, by model/stage."""
        return {
            f"{name}/{stage}": model[stage]["path"]
            for name, model in self.config["models"].items()
            for stage in STAGES
            if model[stage]["kind"] == "directory"
        }

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

    def _check_schema(self) -> None:
        schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
        error = best_match(Draft202012Validator(schema).iter_errors(self.config))
        if error is not None:
            raise InputError(_sentence(self.source, error))

    def _check_references(self) -> None:
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
        ablated = config["figures"]["1a_layer_projections"]["ablated"]
        self._known(
            "figures.1a_layer_projections.ablated", ablated, self.interventions, "interventions"
        )
        for stage, kind, dataset in (
            ("pre", "train_from_scratch", "training_text"),
            ("post", "dpo", "preference_pairs"),
        ):
            models = self.models_with(stage, kind)
            if models:
                self._given(dataset, f"models.{models[0]}.{stage} is of kind {kind}")
        if config["scorer"]["kind"] == "lexicon":
            self._given("lexicon", "scorer is of kind lexicon")

    def _check_paths(self) -> None:
        paths = {
            f"models.{name.replace('/', '.')}": path
            for name, path in self.checkpoint_directories.items()
        }
        for section in ("data", "directions"):
            for name in self.names_with(section, "file"):
                paths[f"{section}.{name}"] = self.config[section][name]["path"]
        for key, path in paths.items():
            if not Path(path).exists():
                raise InputError(
                    f"{self.source}: {key}.path: {path} does not exist; give a path that does, "
                    "relative to where snakemake is started"
                )

    def _given(self, dataset: str, why: str) -> None:
        if dataset not in self.config["data"]:
            raise InputError(
                f"{self.source}: {why}, which needs data.{dataset}; add {dataset} to data"
            )

    def _known(self, key: str, name: str, known: Iterable[str], what: str) -> None:
        if name not in known:
            raise InputError(
                f"{self.source}: {key}: {name!r} is not one of the {what} "
                f"({', '.join(known)}){_nearest(name, known)}"
            )


def one_of(names: Iterable[str]) -> str:
    """Regular expression that matches the names and nothing else, for a wildcard."""
    return "|".join(re.escape(name) for name in names) or r"(?!)"


def options(entry: dict[str, Any]) -> str:
    """An entry of the configuration as command-line options, its kind left out."""
    words = []
    for key, value in entry.items():
        if key != "kind":
            values = value if isinstance(value, list) else [value]
            words += [f"--{key.replace('_', '-')}", *(shlex.quote(str(one)) for one in values)]
    return " ".join(words)


def _sentence(source: str, error: ValidationError) -> str:
    key = ".".join(str(part) for part in error.absolute_path)
    where = f"{source}: {key}" if key else source
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        unknown = next(name for name in error.instance if name not in known)
        hint = f"(known: {', '.join(known)}){_nearest(unknown, known)}"
        return f"{where}: unknown key {unknown!r} {hint}"
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return f"{where}: the key {missing!r} is missing; add it"
    if error.validator == "enum":
        known = [str(value) for value in error.validator_value]
        return f"{where}: {error.instance!r} is not one of {', '.join(known)}" + _nearest(
            str(error.instance), known
        )
    if error.validator == "type":
        kind = type(error.instance).__name__
        return f"{where}: {error.instance!r} is of type {kind}, but must be {error.validator_value}"
    if error.validator == "pattern":
        return f"{where}: {error.instance!r} is no name; use letters, digits, '_', '-' and '.'"
    return f"{where}: {error.message}"


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
