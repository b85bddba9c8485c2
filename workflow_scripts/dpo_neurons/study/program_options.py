"""Command-line options of the rules' programs, from a study's configuration.

An option is named like its key in the configuration, with hyphens for underscores.
"""

import json
import shlex
from dataclasses import asdict
from typing import Any

from dpo_neurons.scorers.known_classifiers import KNOWN_CLASSIFIERS
from dpo_neurons.study.intervention_rows import (
    Row,
    donor_stage,
    is_random,
    plan_arguments,
    positions_in_generation,
    positions_in_perplexity,
    source_stage,
)
from dpo_neurons.study.study import Study

SELECTION_KEYS = (
    "columns", "where", "skip", "rows", "rows_per_label", "prompt_words", "shared_words",
    "labels", "severity", "repository", "revision",
)  # fmt: skip
"""Keys of a data set's entry that say which rows to take and where its files are from."""


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


def scorer_options(study: Study) -> str:
    """Write the options of score_continuations.py that a score depends on."""
    scorer = study.config["scorer"]
    if scorer["kind"] == "lexicon":
        return write_options({"scorer": "lexicon"})
    if scorer["kind"] == "perspective":
        keys = ("attributes", "language", "endpoint")
        request = {key: scorer[key] for key in keys if key in scorer}
        return write_options({"scorer": "perspective", **request})
    known = KNOWN_CLASSIFIERS.get(scorer.get("repository", ""))
    settings = {**(asdict(known) if known else {}), **scorer}
    return write_options(
        {"scorer": "classifier", **{key: settings[key] for key in ("label", "activation")}}
    )


def scorer_run_options(study: Study) -> str:
    """Write the options of score_continuations.py that no score depends on."""
    scorer, compute = study.config["scorer"], study.config["compute"]
    if scorer["kind"] == "classifier":
        return write_options({key: compute[key] for key in ("batch_size", "device", "threads")})
    if scorer["kind"] == "perspective":
        return write_options({key: scorer[key] for key in ("queries_per_second", "store")})
    return ""


def _write_values(value: Any) -> list[str]:  # noqa: ANN401
    """Write a setting as words: one, or one for each item of a list or a mapping."""
    if isinstance(value, dict):
        return [f"{name}={_write_word(item)}" for name, item in value.items()]
    return [_write_word(item) for item in (value if isinstance(value, list) else [value])]


def _write_word(value: Any) -> str:  # noqa: ANN401
    return str(value).lower() if isinstance(value, bool) else str(value)
