"""The schema as a document: it agrees with the tables of the code, and bounds every number."""

import pytest
import yaml

from dpo_neurons.activations.shards import PIECES
from dpo_neurons.neurons.groups import GROUPS
from dpo_neurons.study.column_mapping import WITH_PROMPT_WORDS
from dpo_neurons.study.datasets import FURTHER_NUMBERS, TEXT_KEYS, number_keys
from dpo_neurons.study.schema import SCHEMA

DOCUMENTED = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))


@pytest.mark.parametrize("dataset", TEXT_KEYS)
def test_the_columns_of_a_data_set_are_named_for_the_keys_that_it_has(dataset):
    keys = {*TEXT_KEYS[dataset], *number_keys(dataset)}
    if dataset in WITH_PROMPT_WORDS:
        keys.add("text")
    described = DOCUMENTED["properties"]["data"]["properties"][dataset]
    if dataset == FURTHER_NUMBERS:
        assert "properties" not in described
    else:
        assert set(described["properties"]["columns"]["propertyNames"]["enum"]) == keys


def test_interventions_may_name_the_groups_that_there_are():
    assert DOCUMENTED["$defs"]["set_of_groups"]["items"]["enum"] == list(GROUPS)


def test_a_study_may_ask_for_as_many_shards_as_there_are_pieces():
    shards = DOCUMENTED["properties"]["compute"]["properties"]["shards"]
    assert shards["maximum"] == PIECES


def number_schemas(schema, place=""):
    """Every part of the schema that takes a number, with its place."""
    if isinstance(schema, dict):
        kinds = schema.get("type", ())
        if {"number", "integer"} & {kinds} if isinstance(kinds, str) else "number" in kinds:
            yield place, schema
        for key, part in schema.items():
            if key not in ("default", "description"):
                yield from number_schemas(part, f"{place}.{key}")
    if isinstance(schema, list):
        for number, part in enumerate(schema):
            yield from number_schemas(part, f"{place}.{number}")


def test_every_number_has_bounds():
    numbers = dict(number_schemas(DOCUMENTED))
    assert len(numbers) > 15
    # Values of `where` are compared with cells, never computed with.
    del numbers[".$defs.where.additionalProperties"]
    for place, schema in numbers.items():
        assert {"minimum", "exclusiveMinimum"} & set(schema), place
        assert {"maximum", "exclusiveMaximum"} & set(schema), place
