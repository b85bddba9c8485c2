"""Rows selected from one file, for the tests of columns and of selections."""

import json

import pytest

from dpo_neurons.study.column_mapping import Selection, select_rows


@pytest.fixture
def select(tmp_path):
    """Select rows from one JSON-lines file that holds these."""

    def select(mine, dataset, **settings):
        path = tmp_path / "mine.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in mine))
        return select_rows([path], Selection(dataset, **settings))

    return select
