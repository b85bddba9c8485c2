"""Checks of the rows of `interventions`: keys that have no meaning together."""

from dpo_neurons.errors import InputError
from dpo_neurons.study.intervention_rows import CHOOSING, Row, expand_sets, keys_with_sets
from dpo_neurons.study.study import Study


def check_rows(study: Study, source: str) -> None:
    """Refuse keys of a row that its other keys leave without a meaning.

    Raises InputError that names the key.
    """
    for name, row in study.config["interventions"].items():
        key = f"{source}: interventions.{name}"
        _check_sets(row, key)
        for _, row_of_set in expand_sets(name, row):
            _check_row(row_of_set, key)


def _check_sets(row: Row, key: str) -> None:
    """Refuse two lists of sets, and lists in which some items are sets and some are not."""
    listed = keys_with_sets(row)
    if len(listed) > 1:
        raise InputError(
            f"{key}.{listed[1]}: lists several sets, and {listed[0]} does too; give one set, and "
            "write an entry for each other"
        )
    for name in ("groups", "parts"):
        alone = [item for item in row.get(name, ()) if isinstance(item, str)]
        if alone and len(alone) < len(row[name]):
            raise InputError(
                f"{key}.{name}: {alone[0]} is no list, but other items are; write [{alone[0]}]"
            )


def _check_row(row: Row, key: str) -> None:
    """Refuse what a row cannot have; key: file and key of its entry."""
    of_mean = row.get("values", "mean") == "mean"
    if row["kind"] == "patch" and "dose" in row and of_mean:
        raise InputError(
            f"{key}.dose: a mean is assigned whole; for a part of the change use kind shift, "
            "or set values to prompt, token or same_text"
        )
    if "by" in row and "top" not in row:
        raise InputError(f"{key}.by: ranks neurons for `top`, which is missing; add it")
    if "activation" in row and row.get("by", "cosine") != "cosine":
        raise InputError(f"{key}.activation: goes with by cosine alone; leave one of them out")
    if "length" in row and row["along"] != "direction":
        raise InputError(
            f"{key}.length: is that of a direction, and the row steers along the shift; leave "
            "it out"
        )
    if "without_most_active" in row and "groups" in row:
        raise InputError(
            f"{key}.without_most_active: goes with beta, and the row names its groups; leave "
            "one of them out"
        )
    if row["kind"] == "transplant":
        _check_transplant(row, key)
    if "heads" in row:
        _check_heads(row, key)
    if "random_sets" not in row:
        return
    if not of_mean:
        raise InputError(
            f"{key}.random_sets: not for values {row['values']}; leave random_sets out, or values"
        )
    # Damping chooses by itself: neurons whose AUROC is at most one half stay as they are.
    if row["kind"] != "damp" and not set(CHOOSING) & set(row):
        raise InputError(
            f"{key}.random_sets: the row changes all neurons, so no other set is as large; "
            "leave random_sets out, or name groups"
        )


def _check_heads(row: Row, key: str) -> None:
    """Refuse what a row of heads cannot have."""
    if row.get("values", "mean") not in ("mean", "same_text"):
        raise InputError(
            f"{key}.values: heads are set to a mean or to what they do on the same text; give mean "
            "or same_text"
        )


def _check_transplant(row: Row, key: str) -> None:
    """Refuse parts, layers and ranks that have no meaning together."""
    parts = row.get("parts", ())
    if set(CHOOSING) & set(row):
        others = [part for part in parts if part not in ("mlp", "keys", "values")]
        if others:
            raise InputError(
                f"{key}.parts: {others[0]} belongs to no neuron; give mlp, keys or values, or "
                "choose no neurons"
            )
        for name in ("layers", "rank"):
            if name in row:
                raise InputError(
                    f"{key}.{name}: goes with whole matrices; leave it out, or choose no neurons"
                )
    if "embedding" in parts and "layers" in row:
        raise InputError(f"{key}.parts: embedding is in no layer; leave it out, or layers")
    first, last = row.get("layers", (0, 0))
    if first > last:
        raise InputError(
            f"{key}.layers: the first layer, {first}, is beyond the last, {last}; give a range"
        )
