"""Command-line options of the rules' programs, from a study's configuration.

An option is named like its key in the configuration, with hyphens for underscores.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from dpo_neurons.scorers.known_classifiers import KNOWN_CLASSIFIERS
from dpo_neurons.scorers.known_guards import KNOWN_GUARDS
from dpo_neurons.study.intervention_rows import (
    Row,
    donor_stage,
    is_random,
    plan_arguments,
    positions_in_generation,
    positions_in_perplexity,
    source_stage,
)
from dpo_neurons.study.study import KEY_OF_FIRST_SCORER, Study

SELECTION_KEYS = (
    "columns", "where", "skip", "rows", "rows_per_label", "prompt_words", "shared_words",
    "labels", "severity", "repository", "revision",
)  # fmt: skip
"""Keys of a data set's entry that say which rows to take and where its files are from."""
KNOWN_SCORERS: dict[str, Mapping[str, Any]] = {
    "classifier": KNOWN_CLASSIFIERS,
    "guard": KNOWN_GUARDS,
}
"""Models whose score the package knows how to read, by the kind of scorer."""
SCORE_KEYS: dict[str, tuple[str, ...]] = {
    "lexicon": (),
    "phrases": ("phrases", "match"),
    "classifier": ("label", "activation"),
    "guard": (
        "scored_token", "other_token", "answer_start", "template", "template_settings", "dtype",
    ),
    "perspective": ("attributes", "language", "endpoint", "request_path"),
}  # fmt: skip
"""Keys of each kind of scorer that a score depends on, besides files."""


def write_options(settings: dict[str, Any]) -> str:
    """Write settings as command-line options, quoted for the shell, without `kind`.

    A mapping becomes pairs name=value; true and false are written as in YAML. Only a single value
    may begin with '-': argparse would take one of several for an option.
    """
    words = []
    for key, value in settings.items():
        if key != "kind":
            option = f"--{key.replace('_', '-')}"
            first, *others = _write_values(value)
            if first.startswith("-"):
                words.append(shlex.quote(f"{option}={first}"))
            else:
                words += [option, shlex.quote(first)]
            words += map(shlex.quote, others)
    return " ".join(words)


def fetch_options(study: Study, entry: str) -> str:
    """Write the options of fetch_from_hub.py for an entry of `Study.on_hub`."""
    pinned = study.on_hub[entry]
    pin = {key: pinned[key] for key in ("repository", "revision")}
    if "files" not in pinned:
        return write_options({**pin, "type": "model"})
    return write_options({**pin, "type": "dataset", "patterns": pinned["files"]})


def selection_options(study: Study, dataset: str) -> str:
    """Write the options of import_data.py that say what to take from a data set's files."""
    entry = study.config["data"][dataset]
    options = {key: entry[key] for key in SELECTION_KEYS if key in entry}
    if "where" in options:
        options["where"] = {column: _as_json(value) for column, value in entry["where"].items()}
    if "labels" in options:
        options["labels"] = json.dumps(entry["labels"], ensure_ascii=False)
    return write_options(options)


def _as_json(value: Any) -> Any:  # noqa: ANN401
    """Quote a text that would be read as another JSON value, such as "1.10" or "true"."""
    if not isinstance(value, str):
        return value
    try:
        json.loads(value.lower() if value.lower() in ("true", "false") else value)
    except (ValueError, RecursionError):
        return value
    return json.dumps(value, ensure_ascii=False)


def plan_options(study: Study, entry: str) -> str:
    """Write the option of write_plans.py that describes an entry's rows."""
    rows = []
    for name, row in study.rows_by_entry[entry].items():
        settings = {"intervention": name, "kind": row["kind"], **plan_arguments(row)}
        rows.append(settings | ({"seed": study.config["seed"]} if is_random(row) else {}))
    return _write_rows(rows)


def run_options(study: Study, entry: str) -> str:
    """Write the option of run_interventions.py that says how to run an entry's rows."""
    rows = []
    for name, row in study.rows_by_entry[entry].items():
        settings = _describe_generation(study, entry, name)
        otherwise = study.config["perplexity"]["positions"]
        settings["perplexity_positions"] = positions_in_perplexity(row, otherwise)
        if (stage := source_stage(row)) is not None:
            settings["source_stage"] = stage
            settings["source_positions"] = study.config["activations"]["positions"]
        if (donor := donor_stage(name, row)) is not None:
            settings["donor_stage"] = donor
        rows.append(settings)
    return _write_rows(rows)


def sampling_options(study: Study, entry: str) -> str:
    """Write the option of run_samples.py that says how to run an entry's sampled rows."""
    names = study.sampled_rows(entry)
    return _write_rows([_describe_generation(study, entry, name) for name in names])


def random_set_run_options(study: Study, entry: str) -> str:
    """Write the option of run_random_sets.py that says how to run an entry's random sets."""
    names = _rows_with_random_sets(study, entry)
    return _write_rows([_describe_generation(study, entry, name) for name in names])


def random_set_options(study: Study, entry: str) -> str:
    """Write the options of draw_random_sets.py that describe an entry's rows and their sets."""
    rows = [
        {"intervention": name, "kind": row["kind"], **plan_arguments(row)}
        for name, row in _rows_with_random_sets(study, entry).items()
    ]
    draws = study.config["interventions"][entry]["random_sets"]
    return f"{_write_rows(rows)} {write_options({'draws': draws, 'seed': study.config['seed']})}"


def _rows_with_random_sets(study: Study, entry: str) -> dict[str, Row]:
    """Return the rows of an entry that are compared with random sets; controls are not."""
    rows = study.rows_by_entry[entry].items()
    return {name: row for name, row in rows if "random_sets" in row}


def _describe_generation(study: Study, entry: str, name: str) -> Row:
    """Name a row, and say where its plan acts in each forward pass of generation."""
    row, otherwise = study.rows_by_entry[entry][name], study.config["generation"]["positions"]
    positions = positions_in_generation(row, otherwise)
    return {"intervention": name, "generation_positions": positions}


def _write_rows(rows: list[Row]) -> str:
    return write_options({"rows": json.dumps(rows, ensure_ascii=False)})


def scorer_options(study: Study, key: str) -> str:
    """Write the options of score_continuations.py that a score depends on.

    key: that of the scorer, of `Study.scorers`.
    """
    scorer = study.scorers[key]
    model = KNOWN_SCORERS.get(scorer["kind"], {}).get(scorer.get("repository", ""))
    known = asdict(model) if model else {}
    settings = {**known, **scorer}
    options = {name: settings[name] for name in SCORE_KEYS[scorer["kind"]] if name in settings}
    if "template_settings" in options:
        variables = {**known.get("template_settings", {}), **scorer.get("template_settings", {})}
        options["template_settings"] = json.dumps(variables, ensure_ascii=False)
    if "phrases" in options:
        options["phrases"] = json.dumps(options["phrases"], ensure_ascii=False)
    words = write_options({"scorer": scorer["kind"], **options})
    return words if key == KEY_OF_FIRST_SCORER else f"{words} --further"


def scorer_run_options(study: Study, key: str) -> str:
    """Write the options of score_continuations.py that no score depends on.

    key: that of the scorer, of `Study.scorers`.
    """
    scorer, compute = study.scorers[key], study.config["compute"]
    if runs_a_model(scorer):
        return write_options({name: compute[name] for name in ("batch_size", "device", "threads")})
    if scorer["kind"] == "perspective":
        names = ("queries_per_second", "store", "header")
        return write_options({name: scorer[name] for name in names if name in scorer})
    return ""


def runs_a_model(scorer: Row) -> bool:
    """Whether a scorer runs a model here."""
    return scorer["kind"] in KNOWN_SCORERS


def _write_values(value: Any) -> list[str]:  # noqa: ANN401
    """Write a setting as words: one, or one for each item of a list or a mapping."""
    if isinstance(value, dict):
        return [f"{name}={_write_word(item)}" for name, item in value.items()]
    return [_write_word(item) for item in (value if isinstance(value, list) else [value])]


def _write_word(value: Any) -> str:  # noqa: ANN401
    return str(value).lower() if isinstance(value, bool) else str(value)
