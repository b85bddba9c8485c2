"""The docs page of every key: made from the schema, complete, and readable."""

import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dpo_neurons.study.schema import SCHEMA

DOCS = Path(__file__).parents[2] / "docs"
PROGRAM = DOCS / "write_configuration_page.py"
LONGEST = 200
"""Characters of a description at most."""


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page() -> str:
    return (DOCS / "configuration.md").read_text(encoding="utf-8")


def parts_of(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping in a schema by its path; defaults and examples are values, not schemas."""
    if isinstance(schema, dict):
        yield path, schema
        for name, part in schema.items():
            if name != "default":
                yield from parts_of(part, f"{path}.{name}")
    if isinstance(schema, list):
        for number, part in enumerate(schema):
            yield from parts_of(part, f"{path}.{number}")


def keys_of(schema: dict[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Every key that a schema names: its path, its own schema, and the schema it stands in.

    A condition, `if`, names a key only to tell the kinds apart.
    """
    for path, part in parts_of(schema):
        if not path.endswith(".if") and isinstance(part.get("properties"), dict):
            for name, key in part["properties"].items():
                yield f"{path}.{name}", key, part


def description_of(schema: Any, key: dict[str, Any]) -> str:
    """A key's description, its own or that of what it refers to; empty if there is none."""
    while "description" not in key and "$ref" in key:
        key = schema["$defs"][key["$ref"].removeprefix("#/$defs/")]
    return key.get("description", "")


def kinds_of(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every kind: the title of what is of that kind, its name and its schema."""
    for part in schema["$defs"].values():
        for case in part.get("allOf", ()):
            yield part["title"], case["if"]["properties"]["kind"]["const"], case["then"]


def test_the_committed_page_is_what_the_program_writes(tmp_path, monkeypatch, page):
    output = tmp_path / "page.md"
    monkeypatch.setattr(sys, "argv", [str(PROGRAM), "--output", str(output)])
    runpy.run_path(str(PROGRAM), run_name="__main__")
    written = output.read_text(encoding="utf-8")
    assert written == page, f"run python docs/{PROGRAM.name}"


def test_every_key_is_described(schema):
    described = 0
    for path, key, owner in keys_of(schema):
        if key is True:  # the key `kind` within a kind
            assert path.endswith(".then.properties.kind") or "kind" in owner["properties"], path
            continue
        text = description_of(schema, key)
        assert text.strip(), path
        assert len(text) <= LONGEST, (path, len(text))
        assert text.endswith("."), path
        described += 1
    assert described > 100


def test_every_kind_is_described_and_every_kind_that_is_listed_has_keys(schema):
    listed = {
        (part["title"], name)
        for part in schema["$defs"].values()
        if isinstance(part.get("properties", {}).get("kind"), dict)
        for name in part["properties"]["kind"]["enum"]
    }
    assert {(title, name) for title, name, _ in kinds_of(schema)} == listed
    for title, name, kind in kinds_of(schema):
        assert 0 < len(description_of(schema, kind)) <= LONGEST, (title, name)


def test_descriptions_have_no_markup_but_code(schema):
    for path, part in parts_of(schema):
        text = part.get("description")
        if isinstance(text, str):
            assert not re.search(r"[|*_<>\[\]\\]", re.sub(r"`[^`|]+`", "", text)), (path, text)


def test_the_page_names_every_key_and_kind(schema, page):
    for path, key, _ in keys_of(schema):
        name = path.rpartition(".")[2]
        if key is not True and name != "columns":
            assert f"`{name}`" in page or f".{name}`" in page, path
    for title, name, _ in kinds_of(schema):
        assert f"#### {title.capitalize()} of kind `{name}`" in page


def test_links_within_the_page_have_targets_that_stay(page):
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    anchors = [re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings]
    assert len(set(anchors)) == len(anchors)
    links = re.findall(r"\]\(#([^)]*)\)", page)
    assert links
    assert set(links) <= set(anchors)
    assert all((DOCS / name).exists() for name in re.findall(r"\]\((\w+\.md)\)", page))


def test_every_row_of_a_table_has_as_many_cells_as_its_head(page):
    for block in page.split("\n\n"):
        if block.startswith("| "):
            assert len({len(re.split(r"(?<!\\)\|", row)) for row in block.splitlines()}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "| `generated` or `predicting` | `generated` |",
        "| number above 0 and below 1 | `0.95` |",
        "| `{model}.pre` | [first checkpoint](#kinds-of-first-checkpoint) | **required** |",
        "  shift: {kind: shift, groups: [[TP-], [TN+], [AN-], [AP+]]}",
        "Give exactly one of `groups`, `every_combination_of`, `top`, `file` and `heads`.",
    ],
)
def test_values_defaults_and_choices_stand_on_the_page(page, text):
    assert text in page


def test_mark_up_is_escaped_outside_code_and_bars_everywhere():
    program = runpy.run_path(str(PROGRAM))
    assert program["escape"]("a_b `c_d` <e> [f]*") == r"a\_b `c_d` \<e> \[f\]\*"
    assert list(program["table"](["k"], [["a|b"]])) == ["| k |", "| --- |", r"| a\|b |", ""]


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        ({"a": {"b": {"c": 1}}}, "a:\n  b: {c: 1}\n"),
        ({"a": {"b": {"c": "x" * 100, "d": True}}}, f"a:\n  b:\n    c: {'x' * 100}\n    d: true\n"),
        ({"a": "b"}, "a: b\n"),
    ],
)
def test_a_default_is_written_as_short_yaml(mapping, text):
    assert runpy.run_path(str(PROGRAM))["as_yaml"](mapping) == text
    assert yaml.safe_load(text) == mapping
