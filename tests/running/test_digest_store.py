"""The store of digests: never older than the code, never needed."""

import json
from pathlib import Path

import pytest

from dpo_neurons.running.code_digest import code_digest
from dpo_neurons.running.digest_store import digest_programs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two programs and a package of one module, which the first program uses."""
    (tmp_path / "code/package").mkdir(parents=True)
    (tmp_path / "code/stage").mkdir()
    (tmp_path / "code/package/__init__.py").touch()
    (tmp_path / "code/package/sums.py").write_text("def add(a, b):\n    return a + b\n")
    (tmp_path / "code/stage/first.py").write_text("from package.sums import add\nadd(1, 2)\n")
    (tmp_path / "code/stage/second.py").write_text("print(3)\n")
    return tmp_path / "code"


def computed(root: Path) -> dict[str, str]:
    return {f"stage/{n}": code_digest(root / f"stage/{n}.py", root) for n in ("first", "second")}


def test_digests_are_those_of_each_program(root: Path, tmp_path: Path) -> None:
    store = tmp_path / "kept/digests.json"
    assert digest_programs(root, store) == computed(root)
    stored = json.loads(store.read_text())
    store.write_text(json.dumps(stored | {"digests": {"stage/first": "of the store"}}))
    assert digest_programs(root, store) == {"stage/first": "of the store"}


@pytest.mark.parametrize("file", ["package/sums.py", "stage/second.py", "stage/third.py"])
def test_any_change_of_the_code_makes_the_store_stale(
    root: Path, tmp_path: Path, file: str
) -> None:
    store = tmp_path / "digests.json"
    before = digest_programs(root, store)
    (root / file).write_text("def add(a, b):\n    return a - b\n")
    after = digest_programs(root, store)
    assert after != before
    assert {name: after[name] for name in before} == computed(root)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"code": 1}', '{"digests": {}}'])
def test_a_damaged_store_is_as_good_as_none(root: Path, tmp_path: Path, content: str) -> None:
    store = tmp_path / "digests.json"
    store.write_text(content)
    assert digest_programs(root, store) == computed(root)
    assert json.loads(store.read_text())["digests"] == computed(root)


def test_where_no_store_can_be_written_digests_are_computed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert digest_programs(root, tmp_path / "file/digests.json") == computed(root)
