"""The configuration of a study: checked whole before any job starts, and read by the rules."""

import re
import shlex
from collections.abc import Iterable
from dataclasses import asdict
from functools import cached_property
from typing import Any

from dpo_neurons.scorers.known_classifiers import KNOWN_CLASSIFIERS
from dpo_neurons.study.checks import check_study
from dpo_neurons.study.data_files import matching_paths
from dpo_neurons.study.intervention_rows import plan_arguments, stage_of, table_rows
from dpo_neurons.study.schema import check_schema

STAGES = ("pre", "post")
PUBLISHED_ABLATION = "ablate_top_200"
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
        check_study(self)

    @property
    def results(self) -> str:
        """Directory of the study's results."""
        return f"results/{self.config['study']}"

    @cached_property
    def interventions(self) -> dict[str, dict[str, Any]]:
        """Every row of the tables by name, controls included; see `table_rows`."""
        return table_rows(self.config["interventions"])

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

    @property
    def drawn_ablation(self) -> str | None:
        """The row that figure 1a draws beside the two checkpoints; None if there is none to draw.

        Unless the study says which, it is the paper's, or else the study's first ablation.
        """
        ablations = [PUBLISHED_ABLATION, *self.rows_of_kind("ablate")]
        found = [name for name in ablations if name in self.interventions]
        chosen = self.config["figures"]["1a_layer_projections"].get("ablated")
        return chosen or next(iter(found), None)

    def stage(self, intervention: str) -> str:
        """The checkpoint that an intervention runs on."""
        return stage_of(intervention, self.interventions[intervention])

    def direction(self, intervention: str) -> str:
        """The direction that an intervention goes by."""
        return self.interventions[intervention].get("direction", self.config["direction"])

    def plan_options(self, intervention: str) -> str:
        """Command-line options of write_plan.py that describe an intervention's plan."""
        row = self.interventions[intervention]
        return f"--kind {row['kind']} {options(plan_arguments(row))}".strip()

    def rows_of_kind(self, kind: str) -> dict[str, dict[str, Any]]:
        """The rows of the tables that are of one kind, by name."""
        return {name: row for name, row in self.interventions.items() if row["kind"] == kind}

    def models_with(self, stage: str, kind: str) -> list[str]:
        """Names of the models whose checkpoint of that stage is of that kind."""
        models = self.config["models"]
        return [name for name, model in models.items() if model[stage]["kind"] == kind]

    def names_with(self, section: str, kind: str) -> list[str]:
        """Names of a section's entries of one kind."""
        return [name for name, entry in self.config[section].items() if entry["kind"] == kind]


def match_any(names: Iterable[str]) -> str:
    """Regular expression that matches the names and nothing else, for a wildcard."""
    return "|".join(re.escape(name) for name in names) or r"(?!)"


def options(entry: dict[str, Any]) -> str:
    """An entry of the configuration as command-line options, its kind left out.

    A mapping becomes pairs name=value; true and false are written as in YAML. A single value may
    begin with '-', one of several may not: argparse would take it for an option.
    """
    words = []
    for key, value in entry.items():
        if key != "kind":
            option = f"--{key.replace('_', '-')}"
            first, *others = _words(value)
            if first.startswith("-"):
                words.append(shlex.quote(f"{option}={first}"))
            else:
                words += [option, shlex.quote(first)]
            words += map(shlex.quote, others)
    return " ".join(words)


def _words(value: Any) -> list[str]:  # noqa: ANN401
    if isinstance(value, dict):
        return [f"{name}={_word(one)}" for name, one in value.items()]
    return [_word(one) for one in (value if isinstance(value, list) else [value])]


def _word(value: Any) -> str:  # noqa: ANN401
    return str(value).lower() if isinstance(value, bool) else str(value)
