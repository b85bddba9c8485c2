"""The schema of configurations: keys and values checked, defaults filled in, mistakes in words."""

import copy
import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from dpo_neurons.errors import InputError

SCHEMA = Path(__file__).parents[2] / "schemas" / "config.schema.yaml"


def check_schema(config: dict[str, Any], source: str) -> None:
    """Check a configuration against the schema and fill in, in place, what has a default.

    Raises InputError, naming the file `source` and the key, for the first mistake.
    """
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    error = best_match(_Filling(schema).iter_errors(config))
    if error is not None:
        raise InputError(_sentence(source, error))


def _fill(
    validator: Validator,
    properties: dict[str, Any],
    instance: Any,  # noqa: ANN401
    schema: dict[str, Any],
) -> Iterator[ValidationError]:
    if isinstance(instance, dict):
        for name, one in properties.items():
            if isinstance(one, dict) and "default" in one:
                instance.setdefault(name, copy.deepcopy(one["default"]))
    yield from Draft202012Validator.VALIDATORS["properties"](
        validator, properties, instance, schema
    )


_Filling = extend(Draft202012Validator, {"properties": _fill})


def _sentence(source: str, error: ValidationError) -> str:
    key = ".".join(str(part) for part in error.absolute_path)
    where = f"{source}: {key}" if key else source
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        unknown = next(name for name in error.instance if name not in known)
        hint = f"(known: {', '.join(known)}){nearest(unknown, known)}"
        return f"{where}: unknown key {unknown!r} {hint}"
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return f"{where}: the key {missing!r} is missing; add it"
    if error.validator == "enum":
        known = [str(value) for value in error.validator_value]
        return f"{where}: {error.instance!r} is not one of {', '.join(known)}" + nearest(
            str(error.instance), known
        )
    if error.validator == "type":
        kind = type(error.instance).__name__
        return f"{where}: {error.instance!r} is of type {kind}, but must be {error.validator_value}"
    if error.validator == "pattern" and "description" in error.schema:
        return f"{where}: {error.instance!r} is not {error.schema['description']}"
    if error.validator == "oneOf":
        ways = (" and ".join(way["required"]) for way in error.validator_value)
        return f"{where}: needs either {' or '.join(ways)}, not both"
    return f"{where}: {error.message}"


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the known name that is most like a mistyped one, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
