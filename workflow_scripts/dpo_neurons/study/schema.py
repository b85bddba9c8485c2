"""The schema of configurations: keys and values checked, defaults filled in, mistakes in words."""

import copy
import difflib
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match, relevance
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from dpo_neurons.errors import InputError

SCHEMA = Path(__file__).parents[3] / "schemas" / "config.schema.yaml"
WORDS = {
    "object": "mapping",
    "array": "list",
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
}
"""What a user of YAML calls the types."""


def check_schema(config: dict[str, Any], source: str) -> None:
    """Check a configuration against the schema and fill in, in place, what has a default.

    Raises InputError, naming the file `source` and the key, for the first mistake.
    """
    _check_plain(source, (), config)
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    error = best_match(_Filling(schema).iter_errors(config), key=_weight)
    if error is not None:
        raise InputError(_sentence(source, error))


def _check_plain(source: str, path: tuple[str, ...], value: Any) -> None:  # noqa: ANN401
    """Check for what YAML allows and no schema can tell: keys that are no texts, infinities."""
    where = _place(source, path)
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where}: {value} is not a finite number; give one")
    if isinstance(value, list):
        for number, one in enumerate(value):
            _check_plain(source, (*path, str(number)), one)
    if isinstance(value, dict):
        for key, one in value.items():
            if not isinstance(key, str):
                raise InputError(f"{where}: the key {key!r} is no text; put it in quotes")
            _check_plain(source, (*path, key), one)


def _place(source: str, path: Iterable[str | int]) -> str:
    """The file and the dotted key; a part with a line break in it, say, is quoted."""
    parts = [str(part) if str(part).isprintable() else repr(part) for part in path]
    return f"{source}: {'.'.join(parts)}" if parts else source


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


def _is_whole(checker: object, value: object) -> bool:
    # JSON takes 3.0 for a whole number, the programs do not.
    return isinstance(value, int) and not isinstance(value, bool)


_Filling = extend(
    Draft202012Validator,
    {"properties": _fill},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_whole),
)


def _weight(error: ValidationError) -> tuple[Any, ...]:
    # A mistyped key is told before the key that is missing for it.
    depth, *rest = relevance(error)
    return (depth, error.validator == "additionalProperties", *rest)


def _sentence(source: str, error: ValidationError) -> str:
    where = _place(source, error.absolute_path)
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
        return f"{where}: {_type_mistake(error.instance, error.validator_value)}"
    if error.validator == "pattern" and "description" in error.schema:
        return f"{where}: {error.instance!r} is not {error.schema['description']}"
    if error.validator == "const":
        return f"{where}: {error.instance!r} is not {error.validator_value!r}, all it can be"
    if error.validator in ("minItems", "minProperties"):
        return f"{where}: is empty; give at least one"
    if error.validator == "uniqueItems":
        return f"{where}: names something twice ({error.instance}); leave one of them out"
    if error.validator == "anyOf":
        ways = [" and ".join(way["required"]) for way in error.validator_value]
        return f"{where}: needs {' or '.join(ways)}; add one of them"
    if error.validator == "not":
        both = " and ".join(error.validator_value["required"])
        return f"{where}: {both} are both given; leave one of them out"
    if error.validator == "dependentRequired":
        given, missing = next(
            (given, name)
            for given, names in error.validator_value.items()
            for name in names
            if given in error.instance and name not in error.instance
        )
        return f"{where}: {given} goes with {missing}, which is missing; add it"
    return f"{where}: {error.message}"


def _type_mistake(value: object, wanted: str | list[str]) -> str:
    kinds = [wanted] if isinstance(wanted, str) else wanted
    text = (
        f"{value!r} is of type {type(value).__name__}, "
        f"but must be {' or '.join(WORDS[kind] for kind in kinds)}"
    )
    if "string" in kinds and isinstance(value, int | float):
        return f"{text}; put it in quotes"
    if isinstance(value, str) and {"number", "integer"} & set(kinds) and _is_number(value):
        return f"{text}; write it without quotes and with a point, as in 1.0e-5"
    return text


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the known name that is most like a mistyped one, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
