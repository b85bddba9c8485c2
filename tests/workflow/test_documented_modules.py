"""Every module of the package is on the page of its folder in the docs."""

from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PACKAGE = PROJECT / "workflow_scripts/dpo_neurons"
FOLDERS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_page_of_a_folder_lists_its_modules(folder):
    page = (PROJECT / f"docs/api/{folder}.md").read_text(encoding="utf-8").splitlines()
    listed = [line.removeprefix("::: ") for line in page if line.startswith("::: ")]
    modules = sorted(path.stem for path in (PACKAGE / folder).glob("*.py"))
    expected = [f"dpo_neurons.{folder}.{name}" for name in modules if name != "__init__"]
    assert sorted(listed) == expected
