"""Check a configuration against its schema, fill in defaults and explain mistakes."""

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
# In C where PyYAML has it: each call of Snakemake reads the schema.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DEEPEST = 20
"""A configuration is nested six deep."""
LONGEST_INTEGER = 64
LONGEST_TEXT = 20_000
"""Characters of a text, which is part of a command; Linux allows a command 128 KiB."""
LONGEST_QUOTE = 120
LIMITS = {
    "minimum": "less than the minimum of {}; give a larger",
    "exclusiveMinimum": "not above {}; give a larger",
    "maximum": "greater than the maximum of {}; give a smaller",
    "exclusiveMaximum": "not below {}; give a smaller",
}
"""What error messages say of a number beyond a limit, by JSON Schema's keyword."""
TYPE_NAMES = {
    "object": "mapping",
    "array": "list",
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
}
"""JSON Schema's types, as error messages call them."""


def check_schema(config: dict[str, Any], source: str) -> None:
    """Check a configuration against the schema and fill in its defaults in place.

    source: the file that the configuration was read from.
    Raises InputError, naming the file and the key, for the most relevant mistake.
    """
    _check_yaml(source, (), config)
    schema = yaml.load(SCHEMA.read_text(encoding="utf-8"), Loader=_LOADER)
    error = best_match(_FillingValidator(schema).iter_errors(config), key=_rank_error)
    if error is not None:
        raise InputError(_describe_error(source, error))


def _check_yaml(source: str, path: tuple[str, ...], value: Any) -> None:  # noqa: ANN401
    """Refuse what YAML allows and no study can mean.

    These are keys that are no text, infinities, endless numbers, texts that no command line can
    hold or that fill it, and values that contain themselves.
    """
    place = _name_place(source, path)
    if len(path) > DEEPEST:
        raise InputError(f"{_name_place(source, path[:3])}: nested more than {DEEPEST} deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{place}: {value} is not a finite number; give one")
    if isinstance(value, int) and value.bit_length() > LONGEST_INTEGER:
        raise InputError(f"{place}: a number of more than {LONGEST_INTEGER} bits; give a smaller")
    if isinstance(value, str) and not _can_be_passed(value):
        raise InputError(f"{place}: holds a NUL character or half a character; remove it")
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        raise InputError(
            f"{place}: a text of {len(value)} characters; give one of at most {LONGEST_TEXT}"
        )
    if isinstance(value, list):
        for number, item in enumerate(value):
            _check_yaml(source, (*path, str(number)), item)
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InputError(f"{place}: the key {quote(key)} is no text; put it in quotes")
            if not _can_be_passed(key):
                raise InputError(f"{place}: a key holds a NUL character or half a character")
            _check_yaml(source, (*path, key), item)


def _can_be_passed(text: str) -> bool:
    """Whether a text can be an argument of a command."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def quote(value: object) -> str:
    """Quote a value for an error message: on one line, and shortened."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # contains itself, or has more than 4300 digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}…"


def _name_place(source: str, path: Iterable[str | int]) -> str:
    """Name the file and the dotted key, quoting parts with line breaks and the like."""
    parts = [str(part) if str(part).isprintable() else repr(part) for part in path]
    parts = [part if len(part) <= LONGEST_QUOTE else f"{part[:LONGEST_QUOTE]}…" for part in parts]
    return f"{source}: {'.'.join(parts)}" if parts else source


def _fill_defaults(
    validator: Validator,
    properties: dict[str, Any],
    instance: Any,  # noqa: ANN401
    schema: dict[str, Any],
) -> Iterator[ValidationError]:
    """Fill in the defaults of omitted keys, then validate `properties` as usual."""
    if isinstance(instance, dict):
        for name, subschema in properties.items():
            if isinstance(subschema, dict) and "default" in subschema:
                instance.setdefault(name, copy.deepcopy(subschema["default"]))
    yield from Draft202012Validator.VALIDATORS["properties"](
        validator, properties, instance, schema
    )


def _is_integer(checker: object, value: object) -> bool:
    """Whether a value is an integer; unlike JSON Schema, the programs refuse 3.0."""
    return isinstance(value, int) and not isinstance(value, bool)


_extend: Any = extend  # has no types of its own
_FillingValidator = _extend(
    Draft202012Validator,
    {"properties": _fill_defaults},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


def _rank_error(error: ValidationError) -> tuple[Any, ...]:
    """Rank an error for best_match: an unknown key before the missing key it may stand for."""
    ranks: Any = relevance(error)
    depth, *further_ranks = ranks
    return (depth, error.validator == "additionalProperties", *further_ranks)


def _describe_error(source: str, error: ValidationError) -> str:
    """Describe an error in one line: the place, what is wrong there, what to do."""
    return f"{_name_place(source, error.absolute_path)}: {_describe_mistake(error)}"


def _describe_mistake(error: ValidationError) -> str:
    """Describe what is wrong and what to do, by the keyword of the schema that is violated."""
    keyword = error.validator
    schema: Any = error.schema
    demand: Any = error.validator_value
    value: Any = error.instance
    if schema.get("secret"):
        return f"must be {TYPE_NAMES[schema['type']]}; it is not shown, as it may hold a secret"
    if keyword == "additionalProperties":
        known = list(schema["properties"])
        unknown = next(name for name in value if name not in known)
        return f"unknown key {quote(unknown)} (known: {', '.join(known)}){nearest(unknown, known)}"
    if keyword == "required":
        missing = next(name for name in demand if name not in value)
        return f"the key {missing!r} is missing; add it"
    if keyword == "enum":
        known = [str(choice) for choice in demand]
        hint = nearest(value, known) if isinstance(value, str) else ""
        return f"{quote(value)} is not one of {', '.join(known)}{hint}"
    if keyword == "type":
        return _describe_wrong_type(value, [demand] if isinstance(demand, str) else demand)
    if keyword == "pattern" and "expected" in schema:
        return f"{quote(value)} is not {schema['expected']}"
    if keyword == "maxLength":
        return f"{quote(value)} has {len(value)} characters; give a name of at most {demand}"
    if keyword in LIMITS:
        return f"{quote(value)} is {LIMITS[keyword].format(demand)} number"
    if keyword == "const":
        return f"{quote(value)} is not {demand!r}, all it can be"
    if keyword in ("minItems", "minProperties"):
        return "is empty; give at least one"
    if keyword == "uniqueItems":
        return f"names something twice ({quote(value)}); leave one of them out"
    if keyword == "anyOf":
        choices = [" and ".join(branch["required"]) for branch in demand]
        return f"needs {' or '.join(choices)}; add one of them"
    if keyword == "not":
        return f"{' and '.join(demand['required'])} are both given; leave one of them out"
    if keyword == "dependentRequired":
        given, missing = next(
            (given, name)
            for given, names in demand.items()
            for name in names
            if given in value and name not in value
        )
        return f"{given} goes with {missing}, which is missing; add it"
    return str(error.message)


def _describe_wrong_type(value: object, allowed: list[str]) -> str:
    """Say which types are allowed, and how to write a text, number or list that YAML misread."""
    text = (
        f"{quote(value)} is of type {type(value).__name__}, "
        f"but must be {' or '.join(TYPE_NAMES[name] for name in allowed)}"
    )
    if "string" in allowed and isinstance(value, int | float):
        return f"{text}; put it in quotes"
    if isinstance(value, str) and {"number", "integer"} & set(allowed) and _is_number(value):
        return f"{text}; write it without quotes and with a point, as in 1.0e-5"
    if allowed == ["array"] and isinstance(value, str | int | float):
        return f"{text}; write it in brackets"
    return text


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint at the known name nearest to a mistyped one, or an empty text."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""
