"""What no schema can tell of a study: names that refer to others, what is needed, what is there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from dpo_neurons.errors import InputError
from dpo_neurons.scorers.known_classifiers import KNOWN_CLASSIFIERS
from dpo_neurons.study.data_files import matching_paths
from dpo_neurons.study.intervention_rows import UNPATCHED, can_be_captured, table_rows
from dpo_neurons.study.schema import nearest

if TYPE_CHECKING:
    from dpo_neurons.study.study import Study


def check_study(study: Study) -> None:
    """Check a study whose keys and values are those of the schema.

    Raises InputError, naming the file and the key, for the first mistake.
    """
    _check_names(study)
    _check_numbers(study)
    _check_needs(study)
    _check_paths(study)


def _check_names(study: Study) -> None:
    config, directions = study.config, study.config["directions"]
    _known(study, "direction", config["direction"], directions, "directions")
    for name, row in config["interventions"].items():
        key = f"interventions.{name}"
        if not name.startswith(f"{row['kind']}_"):
            raise InputError(
                f"{study.source}: {key}: the name of a row of kind {row['kind']} must begin with "
                f"'{row['kind']}_'"
            )
        if "direction" in row:
            _known(study, f"{key}.direction", row["direction"], directions, "directions")
    _check_expanded_names(study)
    for name in study.names_with("directions", "svd"):
        source = directions[name]["from"]
        others = [other for other in directions if directions[other]["kind"] != "svd"]
        _known(study, f"directions.{name}.from", source, others, "directions but SVDs")
    if study.drawn_ablation:
        key = "figures.1a_layer_projections.ablated"
        rows = [name for name, row in study.interventions.items() if can_be_captured(name, row)]
        _known(study, key, study.drawn_ablation, rows, "rows that set the first model's neurons")


def _check_expanded_names(study: Study) -> None:
    owners: dict[str, str] = {}
    for entry, row in study.config["interventions"].items():
        for name in table_rows({entry: row}):
            if name not in UNPATCHED and owners.setdefault(name, entry) != entry:
                raise InputError(
                    f"{study.source}: interventions.{entry}: stands for a row {name!r}, and so "
                    f"does {owners[name]}; rename one of them"
                )


def _known(study: Study, key: str, name: str, known: Iterable[str], what: str) -> None:
    if name not in known:
        raise InputError(
            f"{study.source}: {key}: {name!r} is not one of the {what} "
            f"({', '.join(known) or 'there are none'})"
            + (nearest(name, known) or "; give one that is")
        )


def _check_numbers(study: Study) -> None:
    for name in study.names_with("directions", "svd"):
        one = study.config["directions"][name]
        if one["components"] > one["neurons"]:
            raise InputError(
                f"{study.source}: directions.{name}.components: {one['neurons']} value vectors "
                f"(neurons) have no {one['components']} components; ask for fewer, or take more "
                "neurons"
            )
    for figure, keys in study.config["figures"].items():
        if keys.get("first", 1) > keys.get("last", 1):
            raise InputError(
                f"{study.source}: figures.{figure}: the first rank, {keys['first']}, is beyond "
                f"the last, {keys['last']}; give a range"
            )
    for name in study.models_with("pre", "train_from_scratch"):
        recipe = study.config["models"][name]["pre"]
        # Rotary positions turn pairs of a head's numbers.
        parts = recipe["heads"] * (1 if recipe["architecture"] == "gpt2" else 2)
        if recipe["width"] % parts:
            raise InputError(
                f"{study.source}: models.{name}.pre.width: {recipe['width']} is no multiple of "
                f"{parts}, which {recipe['heads']} heads of {recipe['architecture']} need; give "
                "one that is"
            )


def _check_needs(study: Study) -> None:
    for dataset, why in study.needed_data.items():
        if dataset not in study.config["data"]:
            raise InputError(
                f"{study.source}: {why}, which needs data.{dataset}; add {dataset} to data"
            )
    for name in study.names_with("directions", "probe"):
        label = study.config["directions"][name].get("label", "toxic")
        if label not in ("toxic", *study.config["data"]["labelled_comments"].get("columns", ())):
            raise InputError(
                f"{study.source}: directions.{name}.label: {label!r} is no label of "
                "data.labelled_comments; say in its columns which column holds it, as in "
                f"columns: {{{label}: {label}}}"
            )
    scorer = study.config["scorer"]
    repository = scorer.get("repository", "")
    if scorer["kind"] == "classifier" and repository not in KNOWN_CLASSIFIERS:
        for key in ("label", "activation"):
            if key not in scorer:
                raise InputError(
                    f"{study.source}: scorer: {key!r} is missing; add it, since it is known only "
                    f"for {', '.join(KNOWN_CLASSIFIERS)}{nearest(repository, KNOWN_CLASSIFIERS)}"
                )
    for name, entry in study.config["data"].items():
        if entry["kind"] == "synthetic" and name != "lexicon" and "rows" not in entry:
            raise InputError(f"{study.source}: data.{name}: the key 'rows' is missing; add it")
        if "prompt_words" in entry and name != "reference_sentences":
            raise InputError(
                f"{study.source}: data.{name}: prompt_words is for reference_sentences alone; "
                "leave it out"
            )


def _check_paths(study: Study) -> None:
    described = dict(study.entries)
    described |= {f"directions.{name}": one for name, one in study.config["directions"].items()}
    for key, entry in described.items():
        for name in ("path", "like"):
            if name in entry and not _is_there(entry[name], key.startswith("data.")):
                raise InputError(
                    f"{study.source}: {key}.{name}: {entry[name]} does not exist; give a path "
                    "that does, relative to where snakemake is started"
                )


def _is_there(path: str, is_pattern: bool) -> bool:
    if not is_pattern:
        return Path(path).exists()
    try:
        return bool(matching_paths([path]))
    except (InputError, ValueError):  # no match, or a pattern such as a**b
        return False
