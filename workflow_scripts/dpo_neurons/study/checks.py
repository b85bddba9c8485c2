"""Check what a schema cannot: references, and the keys and data that others need."""

from collections.abc import Iterable
from typing import Any

from dpo_neurons.errors import InputError
from dpo_neurons.running.masking import mask_secrets
from dpo_neurons.scorers.endpoint import check_endpoint
from dpo_neurons.scorers.known_guards import KNOWN_GUARDS
from dpo_neurons.study.intervention_rows import (
    can_be_captured,
    named_rows,
    source_stage,
)
from dpo_neurons.study.names import check_names
from dpo_neurons.study.path_checks import check_paths
from dpo_neurons.study.program_options import KNOWN_SCORERS
from dpo_neurons.study.row_checks import check_rows
from dpo_neurons.study.schema import check_schema, nearest
from dpo_neurons.study.shared_checkpoints import check_shared_checkpoints
from dpo_neurons.study.study import TUNED_HERE, Study

DEPTH_OF_ENTRIES = 4
"""Of the deepest entries with a kind, the autoencoders of a model."""
LOSSES_TO_SMOOTH = {"robust": True, "exo_pair": True, "aot": False, "aot_unpaired": False}
"""Losses of kind dpo that read label_smoothing, and whether they need it."""
KEYS_OF_SOME_DATA = {
    "prompt_words": ("challenge_prompts", "reference_sentences"),
    "shared_words": ("preference_pairs",),
    "labels": ("labelled_comments", "lexicon"),
    "rows_per_label": ("labelled_comments",),
    "severity": ("lexicon",),
}
"""Keys of an entry of `data` that go with some data sets only."""
NEEDED_OF_UNKNOWN = {
    "classifier": ("label", "activation"),
    "guard": ("scored_token", "other_token"),
}
"""Keys of a scorer that are known for some repositories only."""


def check_study(config: dict[str, Any], source: str) -> Study:
    """Check a configuration, fill in the defaults of omitted keys and return it as a Study.

    The dictionary is filled in place, since the rules read it.
    source: the file that the configuration was read from.
    Raises InputError for the first mistake, naming file and key, with secrets masked.
    """
    try:
        return _checked_study(config, source)
    except InputError as error:
        raise InputError(mask_secrets(str(error))) from None


def _checked_study(config: dict[str, Any], source: str) -> Study:
    _drop_null_keys(config)
    check_schema(config, source)
    for model in config["models"].values():
        if model["post"]["kind"] in TUNED_HERE:
            model["post"].setdefault("seed", config["seed"])
    study = Study(config)
    _check_endpoints(study, source)
    _check_row_names(study, source)
    _check_references(study, source)
    check_names(study, source)
    check_shared_checkpoints(study, source)
    _check_numbers(study, source)
    _check_objectives(study, source)
    check_rows(study, source)
    _check_chats(study, source)
    _check_needs(study, source)
    check_paths(study, source)
    return study


def _drop_null_keys(section: Any, depth: int = 0) -> None:  # noqa: ANN401
    """Drop the null keys of entries with a kind.

    A second configuration file is merged into the first one key by key, so this is how it gives an
    entry another kind.
    """
    if isinstance(section, dict) and depth <= DEPTH_OF_ENTRIES:
        if "kind" in section:
            for key in [key for key, value in section.items() if value is None and key != "kind"]:
                del section[key]
        for value in section.values():
            _drop_null_keys(value, depth + 1)


def _check_row_names(study: Study, source: str) -> None:
    """Refuse entries of `interventions` not named after their kind, and two rows of one name."""
    for name, row in study.config["interventions"].items():
        if name != row["kind"] and not name.startswith(f"{row['kind']}_"):
            raise InputError(
                f"{source}: interventions.{name}: the name of a row of kind {row['kind']} must "
                f"begin with '{row['kind']}_'; rename it, as in {row['kind']}_{name}"
            )
    _check_expanded_names(study, source)


def _check_references(study: Study, source: str) -> None:
    """Refuse references to missing entries."""
    config, directions = study.config, study.config["directions"]
    _check_name(source, "direction", config["direction"], directions, "directions")
    for name, row in config["interventions"].items():
        if "direction" in row:
            key = f"interventions.{name}.direction"
            _check_name(source, key, row["direction"], directions, "directions")
    recipes = {name: model for name, model in config["models"].items() if "seed_of" not in model}
    for name, model in config["models"].items():
        if "seed_of" in model:
            _check_name(source, f"models.{name}.seed_of", model["seed_of"], recipes, "recipes")
    for name in config["sampling"]["rows"]:
        _check_name(source, "sampling.rows", name, study.interventions, "rows")
        if source_stage(study.interventions[name]) is not None:
            raise InputError(
                f"{source}: sampling.rows: {name!r} takes a second model's own activations, which "
                "are read on its greedy text; leave it out"
            )
    for name in study.names_with("directions", "svd"):
        others = [other for other in directions if directions[other]["kind"] != "svd"]
        key = f"directions.{name}.from"
        _check_name(source, key, directions[name]["from"], others, "directions but SVDs")
    if study.drawn_ablation:
        key = "figures.1a_layer_projections.ablated"
        rows = [name for name, row in study.interventions.items() if can_be_captured(name, row)]
        what = "rows that set the first model's neurons"
        _check_name(source, key, study.drawn_ablation, rows, what)


def _check_endpoints(study: Study, source: str) -> None:
    """Refuse an endpoint that is no plain address, without quoting it."""
    for key, scorer in study.scorers.items():
        if scorer["kind"] == "perspective":
            check_endpoint(scorer["endpoint"], f"{source}: {key}.endpoint")


def _check_expanded_names(study: Study, source: str) -> None:
    """Refuse two rows of the same name: of two entries, or of two values in one list."""
    owners: dict[str, str] = {}
    for entry, name in named_rows(study.config["interventions"]):
        owner = owners.setdefault(name, entry)
        if owner != entry:
            raise InputError(
                f"{source}: interventions.{entry}: stands for a row {name!r}, and so does {owner}; "
                "rename one of them"
            )
    seen: set[str] = set()
    for entry, name in named_rows(study.config["interventions"]):
        if name in seen:
            raise InputError(
                f"{source}: interventions.{entry}: two of its values make the same row {name!r}, "
                "since names hold six digits; give values that differ in them"
            )
        seen.add(name)


def _check_name(source: str, key: str, name: str, known: Iterable[str], what: str) -> None:
    """Refuse a name that is not among the known ones; what: how a message calls these."""
    if name not in known:
        raise InputError(
            f"{source}: {key}: {name!r} is not one of the {what} "
            f"({', '.join(known) or 'there are none'})"
            + (nearest(name, known) or "; give one that is")
        )


def _check_numbers(study: Study, source: str) -> None:
    """Refuse numbers that contradict each other."""
    for name in study.names_with("directions", "svd"):
        svd = study.config["directions"][name]
        if svd["components"] > svd["neurons"]:
            raise InputError(
                f"{source}: directions.{name}.components: {svd['neurons']} value vectors "
                f"(neurons) have no {svd['components']} components; ask for fewer, or take more "
                "neurons"
            )
    for model, autoencoders in study.autoencoders.items():
        for name, settings in autoencoders.items():
            if settings.get("active", 1) > settings.get("features", 1):
                raise InputError(
                    f"{source}: models.{model}.autoencoders.{name}.active: {settings['active']} of "
                    f"{settings['features']} features cannot be active; give fewer"
                )
    for figure, keys in study.config["figures"].items():
        if keys.get("first", 1) > keys.get("last", 1):
            raise InputError(
                f"{source}: figures.{figure}: the first rank, {keys['first']}, is beyond "
                f"the last, {keys['last']}; give a range"
            )
    for name in study.models_with("pre", "train_from_scratch"):
        recipe = study.config["models"][name]["pre"]
        # Rotary positions turn pairs of a head's numbers.
        parts = recipe["heads"] * (1 if recipe["architecture"] == "gpt2" else 2)
        if recipe["width"] % parts:
            raise InputError(
                f"{source}: models.{name}.pre.width: {recipe['width']} is no multiple of "
                f"{parts}, which {recipe['heads']} heads of {recipe['architecture']} need; give "
                "one that is"
            )


def _check_objectives(study: Study, source: str) -> None:
    """Refuse settings of an objective that its loss does not read, or cannot do without."""
    for name in study.models_with("post", "dpo"):
        recipe, key = study.config["models"][name]["post"], f"{source}: models.{name}.post"
        loss = recipe["loss"]
        if "label_smoothing" in recipe and loss not in LOSSES_TO_SMOOTH:
            raise InputError(
                f"{key}.label_smoothing: is read by the losses {', '.join(LOSSES_TO_SMOOTH)} "
                f"alone, not by {loss}; leave it out"
            )
        if "label_smoothing" not in recipe and LOSSES_TO_SMOOTH.get(loss, False):
            raise InputError(f"{key}: the loss {loss} needs label_smoothing, as 0.1; add it")
    for name in study.models_with("post", "kto"):
        if study.config["models"][name]["post"]["batch_size"] == 1:
            raise InputError(
                f"{source}: models.{name}.post.batch_size: kto compares with answers to other "
                "prompts of the same step, so a step needs 2 pairs or more; raise it"
            )


def _check_chats(study: Study, source: str) -> None:
    """Refuse the chat template of a checkpoint that is tuned on what the template renders."""
    for name, model in study.config["models"].items():
        tuned_here = model["post"]["kind"] in TUNED_HERE
        if model.get("chat", {}).get("template") == "post" and tuned_here:
            raise InputError(
                f"{source}: models.{name}.chat.template: post is tuned here, on what the template "
                "renders, so it has that of pre; set it to pre"
            )


def _check_needs(study: Study, source: str) -> None:
    """Refuse a study that lacks data or keys which its other entries need."""
    for dataset, why in study.needed_data.items():
        if dataset not in study.config["data"]:
            raise InputError(f"{source}: {why}, which needs data.{dataset}; add {dataset} to data")
    by_label = [
        name for kind in ("probe", "difference") for name in study.names_with("directions", kind)
    ]
    for name in by_label:
        label = study.config["directions"][name].get("label", "toxic")
        if label not in ("toxic", *study.config["data"]["labelled_comments"].get("columns", ())):
            raise InputError(
                f"{source}: directions.{name}.label: {label!r} is no label of "
                "data.labelled_comments; say in its columns which column holds it, as in "
                f"columns: {{{label}: {label}}}"
            )
    for key, scorer in study.scorers.items():
        _check_scorer(f"{source}: {key}", scorer)
    for name, entry in study.config["data"].items():
        if entry["kind"] == "synthetic" and name != "lexicon" and "rows" not in entry:
            raise InputError(f"{source}: data.{name}: the key 'rows' is missing; add it")
        for key, allowed in KEYS_OF_SOME_DATA.items():
            if key in entry and name not in allowed:
                raise InputError(
                    f"{source}: data.{name}: {key} is for {' and '.join(allowed)} alone; "
                    "leave it out"
                )


def _check_scorer(place: str, scorer: dict[str, Any]) -> None:
    """Refuse a model that scores without saying how its score is read."""
    known = KNOWN_SCORERS.get(scorer["kind"], {})
    repository = scorer.get("repository", "")
    if repository not in known:
        for key in NEEDED_OF_UNKNOWN.get(scorer["kind"], ()):
            if key not in scorer:
                raise InputError(
                    f"{place}: {key!r} is missing; add it, since it is known only "
                    f"for {', '.join(known)}{nearest(repository, known)}"
                )
    if scorer["kind"] != "guard":
        return
    if "template" in scorer:
        for part in ("{prompt}", "{answer}"):
            if part not in scorer["template"]:
                raise InputError(f"{place}.template: holds no {part}; add it")
        if "template_settings" in scorer:
            raise InputError(
                f"{place}.template_settings: are for the chat template, which template replaces; "
                "leave one of them out"
            )
    elif repository in KNOWN_GUARDS:
        for key in KNOWN_GUARDS[repository].needed_settings:
            if key not in scorer.get("template_settings", {}):
                raise InputError(f"{place}.template_settings: {repository} needs {key!r}; add it")
