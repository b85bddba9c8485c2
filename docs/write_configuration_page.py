"""Write docs/configuration.md, the page of every key of a configuration, from the schema.

Descriptions in the schema are Markdown whose only mark-up is `code`.
"""

import argparse
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

Schema = dict[str, Any]
"""A schema or a part of it: keywords of JSON Schema and their values."""
Key = tuple[str, Schema, bool]
"""A key's name, dotted; its schema, references followed; and whether it is required."""

PROJECT = Path(__file__).resolve().parents[1]
LINE = 100
"""Longest line of a YAML block; a longer mapping is spread over several."""
SEE_ALSO = {
    "data": "[Data](data.md)",
    "models": "[Checkpoints](checkpoints.md)",
    "directions": "[Directions](directions.md)",
    "activations": "[Activations](activations.md)",
    "generation": "[Interventions](interventions.md)",
    "perplexity": "[Interventions](interventions.md)",
    "sampling": "[Interventions](interventions.md)",
    "faithfulness": "[Interventions](interventions.md)",
    "groups": "[How to read each figure](figures.md)",
    "scorer": "[Scorers](scorers.md)",
    "further_scorers": "[Scorers](scorers.md)",
    "logit_lens": "[Directions](directions.md)",
    "bootstrap": "[Statistics](statistics.md)",
    "interventions": "[Interventions](interventions.md)",
    "figures": "[How to read each figure](figures.md)",
    "compute": "[Checkpoints](checkpoints.md), [On a cluster](cluster.md)",
}
"""The pages that explain a key at the top level."""
HEAD = """\
# Configuration: every key

*This page is made from `schemas/config.schema.yaml`. To change it, change the schema and run
`python docs/write_configuration_page.py`.*

A study is one YAML file, given by `snakemake figures --cores 8 --configfile my_study.yaml`. It
replaces `config.yaml` entirely. This is a complete one:

```yaml
study: my-study
data:
  labelled_comments: {kind: file, path: data/train.csv, columns: {text: comment_text}}
models:
  mine:
    pre: {kind: directory, path: checkpoints/before}
    post: {kind: directory, path: checkpoints/after}
```

Omitted keys default to the settings of the paper, Yang et al.
([arXiv 2411.06424](https://arxiv.org/abs/2411.06424)); v1 and v3 are its versions. Unknown keys are
errors. An error is one line that names the key.

In the tables, "–" marks a key that may be omitted and has no default. A part in braces, such as
`{model}`, is a name of your choice, made of letters, digits, `_`, `-` and `.`. Names that tables or
file systems would misread are errors: `null`, `1.1` beside `1.10`, `Toy` beside `toy`, an ending
such as `.tests`. A key that stands twice is an error too, in a file and in `--config`.
"""


def configuration_page(schema: Schema) -> str:
    """Return the page: an overview, then a section for each key at the top level."""
    definitions: Schema = schema["$defs"]
    sections = [
        (name, resolve(section, definitions), name in schema["required"])
        for name, section in schema["properties"].items()
    ]
    overview = [
        [f"[`{name}`](#{name})", escape(section["description"]) + " **Required.**" * required]
        for name, section, required in sections
    ]
    lines = [HEAD, *table(["key", "what it sets"], overview)]
    described: set[str] = set()
    for section in sections:
        lines += section_lines(section, definitions, described)
    return "\n".join(lines)


def resolve(schema: Schema, definitions: Schema) -> Schema:
    """Follow a schema's reference; its own keywords replace those of the target."""
    if "$ref" not in schema:
        return schema
    target = resolve(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    keywords = {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
    if "properties" in target and "properties" in keywords:
        keywords["properties"] = target["properties"] | keywords["properties"]
    return target | keywords


def section_lines(section: Key, definitions: Schema, described: set[str]) -> Iterator[str]:
    """Write about a key at the top level and every key below it.

    described: titles of entries whose kinds an earlier section has; this one's are added.
    """
    name, schema, required = section
    yield f"## `{name}`\n"
    see_also = f" See also: {SEE_ALSO[name]}." if name in SEE_ALSO else ""
    yield f"{escape(schema['description'])}{see_also}\n"
    keys = list(keys_below(schema, definitions))
    if keys:
        yield from key_table(keys, definitions)
    else:
        yield f"{value_sentences(schema, required, definitions)}\n"
    defaults = {key: entry["default"] for key, entry, _ in keys if has_long_default(entry)}
    if defaults or has_long_default(schema):
        block = as_yaml({name: defaults or schema["default"]})
        yield f"The default{'s' if len(defaults) > 1 else ''}:\n\n```yaml\n{block}```\n"
    schemas = [entry for _, entry, _ in [section, *keys]]
    items = [item for entry in schemas if (item := item_of(entry, definitions)) is not None]
    entries = {entry["title"]: entry for entry in [*schemas, *items] if has_kinds(entry)}
    for title, entry in entries.items():
        if title not in described:
            described.add(title)
            yield from kinds_lines(entry, definitions)


def value_sentences(schema: Schema, required: bool, definitions: Schema) -> str:
    """Say which values a key at the top level may have, and its default if it is short."""
    text = f"Value: {value_text(schema, definitions)}."
    if required:
        return f"{text} **Required.**"
    return text if has_long_default(schema) else f"{text} Default: {default_text(schema, False)}."


def keys_below(schema: Schema, definitions: Schema, prefix: str = "") -> Iterator[Key]:
    """Yield the keys of a mapping and of the mappings in it; kinds have sections of their own."""
    if has_kinds(schema):
        return
    for name, reference in schema.get("properties", {}).items():
        if reference is not True:  # but the key `kind` within a kind
            entry = resolve(reference, definitions)
            yield f"{prefix}{name}", entry, name in schema.get("required", ())
            yield from keys_below(entry, definitions, f"{prefix}{name}.")
    item = item_of(schema, definitions)
    if item is not None and "title" in item:
        yield from keys_below(item, definitions, f"{prefix}{{{item['title']}}}.")


def item_of(schema: Schema, definitions: Schema) -> Schema | None:
    """Return the schema of the values of a mapping whose keys are the user's, None for others."""
    item = schema.get("additionalProperties")
    return resolve(item, definitions) if isinstance(item, dict) else None


def has_kinds(schema: Schema) -> bool:
    """Whether a value's key `kind` decides which other keys it has."""
    # Within a kind the key is `kind: true`: it was described where the kinds are listed.
    return isinstance(schema.get("properties", {}).get("kind"), dict)


def has_long_default(schema: Schema) -> bool:
    """Whether a default is shown below a table, since it is a mapping with a kind or of such."""
    default = schema.get("default")
    return isinstance(default, dict) and (
        "kind" in default or any(isinstance(value, dict) for value in default.values())
    )


def kinds_lines(entry: Schema, definitions: Schema) -> Iterator[str]:
    """Write about each kind that an entry may be of, and about the keys of that kind."""
    title, kind = entry["title"], entry["properties"]["kind"]
    yield f"### Kinds of {title}\n"
    links = [f"[`{name}`](#{anchor(title, name)})" for name in kind["enum"]]
    yield f"`kind` is {listed(links, 'or')}. **Required.** {escape(kind['description'])}\n"
    schemas = {case["if"]["properties"]["kind"]["const"]: case["then"] for case in entry["allOf"]}
    for name in kind["enum"]:
        schema = resolve(schemas[name], definitions)
        yield f"#### {title.capitalize()} of kind `{name}`\n"
        choice = ""
        if "anyOf" in schema:
            choices = [f"`{branch['required'][0]}`" for branch in schema["anyOf"]]
            choice = f" Give exactly one of {listed(choices, 'and')}."
        yield f"{escape(schema['description'])}{choice}\n"
        keys = list(keys_below(schema, definitions))
        yield from key_table(keys, definitions) if keys else ["It has no other keys.\n"]


def key_table(keys: Iterable[Key], definitions: Schema) -> Iterator[str]:
    """Write a row for each key: its values, its default and what it does."""
    rows = []
    for name, schema, required in keys:
        description = schema["description"]
        if has_kinds(schema) and "columns" in schema["properties"]:
            description += f" {schema['properties']['columns']['description']}"
        default = default_text(schema, required)
        rows.append([f"`{name}`", value_text(schema, definitions), default, escape(description)])
    yield from table(["key", "value", "default", "what it does"], rows)


def value_text(schema: Schema, definitions: Schema) -> str:
    """Say which values a key may have."""
    if has_kinds(schema):
        return f"[{schema['title']}](#kinds-of-{schema['title'].replace(' ', '-')})"
    if "title" in schema:
        return str(schema["title"])
    if "enum" in schema or "const" in schema:
        return listed([f"`{value}`" for value in schema.get("enum", [schema.get("const")])], "or")
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return " or ".join(value_of_type(name, schema, definitions) for name in types)


def value_of_type(name: str, schema: Schema, definitions: Schema) -> str:
    """Say which values of a type of JSON a key may have."""
    if name == "object":
        item = item_of(schema, definitions)
        return "mapping" + (f" of names to {plural_text(item, definitions)}" if item else "")
    if name == "array":
        return f"list of {plural_text(resolve(schema['items'], definitions), definitions)}"
    if name in ("integer", "number"):
        return name + range_text(schema)
    return {"string": "text", "boolean": "true or false"}[name]


def plural_text(schema: Schema, definitions: Schema) -> str:
    """Say of which values there may be several."""
    text = value_text(schema, definitions)
    if "enum" in schema:
        return text
    return text.replace("](", "s](") if text.startswith("[") else f"{text}s"


def range_text(schema: Schema) -> str:
    """Say between which bounds a number must lie."""
    if "exclusiveMinimum" in schema and "exclusiveMaximum" in schema:
        low, high = schema["exclusiveMinimum"], schema["exclusiveMaximum"]
        return f" above {low} and below {high}"
    if "minimum" in schema and "maximum" in schema:
        return f" from {schema['minimum']} to {schema['maximum']}"
    if "exclusiveMinimum" in schema:
        return f" above {schema['exclusiveMinimum']}"
    return f" ≥ {schema['minimum']}" if "minimum" in schema else ""


def default_text(schema: Schema, required: bool) -> str:
    """Say what an omitted key defaults to, or that it must not be omitted."""
    if required:
        return "**required**"
    if has_long_default(schema):
        return "below"
    default = schema.get("default")
    # An empty mapping is filled with the defaults of its own keys.
    return "–" if default in (None, {}) else f"`{in_one_line(default)}`"


def anchor(title: str, kind: str) -> str:
    """Return the anchor of the section on a kind, the same on GitHub and on the docs site."""
    return f"{title.replace(' ', '-')}-of-kind-{kind}"


def listed(texts: list[str], conjunction: str) -> str:
    """Join texts by commas, the last two by the conjunction."""
    if len(texts) == 1:
        return texts[0]
    return f"{', '.join(texts[:-1])} {conjunction} {texts[-1]}"


def table(header: list[str], rows: list[list[str]]) -> Iterator[str]:
    """Write a table in Markdown, an empty line after it."""
    for cells in [header, ["---"] * len(header), *rows]:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""


def escape(text: str) -> str:
    """Escape what would be mark-up in Markdown, outside `code`."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([\\*_<\[\]])", r"\\\1", part) for part in parts
    )


def as_yaml(mapping: Schema, indent: str = "") -> str:
    """Write a mapping as YAML, each of its values in one line where that is short enough."""
    text = ""
    for key, value in mapping.items():
        line = f"{indent}{in_one_line({key: value})[1:-1]}"
        if isinstance(value, dict) and (not indent or len(line) > LINE):
            line = f"{indent}{key}:\n{as_yaml(value, f'{indent}  ')}".rstrip()
        text += f"{line}\n"
    return text


def in_one_line(value: object) -> str:
    """Write a value as YAML in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=float("inf"))
    return text.removesuffix("\n").removesuffix("\n...")


def main() -> None:
    """Parse the command line, read the schema, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schema", type=Path, default=PROJECT / "schemas" / "config.schema.yaml")
    parser.add_argument("--output", type=Path, default=PROJECT / "docs" / "configuration.md")
    arguments = parser.parse_args()
    schema = yaml.safe_load(arguments.schema.read_text(encoding="utf-8"))
    arguments.output.write_text(configuration_page(schema), encoding="utf-8")


if __name__ == "__main__":
    main()
