"""The two lists of dependencies agree, and include everything that is imported."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
PINS = [
    line
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def test_conda_and_pip_get_the_same_versions():
    (by_pip,) = [entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict)]
    assert sorted(by_pip) == sorted(PINS)


def test_every_dependency_is_pinned_once_to_one_version():
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9.]*", pin) for pin in PINS)
    names = [pin.split("==")[0].lower() for pin in PINS]
    assert len(names) == len(set(names))


def test_conda_and_the_lints_take_the_same_python():
    (python,) = [one for one in CONDA["dependencies"] if str(one).startswith("python=")]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["tool"]["ruff"]["target-version"] == "py" + python[7:].replace(".", "")


def test_what_is_installed_is_what_is_pinned():
    wrong = {
        pin: version(pin.split("==")[0])
        for pin in PINS
        if version(pin.split("==")[0]).split("+")[0] != pin.split("==")[1]
    }
    assert wrong == {}


RULES = [ROOT / "Snakefile", *sorted(ROOT.glob("rules/*.smk"))]
PROGRAMS = sorted(ROOT.glob("workflow_scripts/**/*.py"))
OWN = {"dpo_neurons"}
IMPORT = re.compile(r"^[ \t]*((?:from [\w.]+ )?import .*)$", re.MULTILINE)
"""An import in a file that is not pure Python."""


def imported(source: str) -> Iterator[str]:
    """Top-level names of the modules that a source imports, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def imports_of_rules(path: Path) -> str:
    """The lines of a file of rules that import, with brackets over several lines left out."""
    lines = IMPORT.findall(path.read_text(encoding="utf-8"))
    return "\n".join(line.replace("import (", "import x") for line in lines)


def third_party_modules() -> dict[str, list[str]]:
    """Modules of neither the project nor Python's library, each with the files that import it."""
    sources = {path: path.read_text(encoding="utf-8") for path in PROGRAMS}
    sources |= {path: imports_of_rules(path) for path in RULES}
    modules: dict[str, list[str]] = {}
    for path, source in sources.items():
        for name in set(imported(source)) - OWN - sys.stdlib_module_names:
            modules.setdefault(name, []).append(str(path.relative_to(ROOT)))
    return modules


MODULES = third_party_modules()
OWNERS = packages_distributions()
"""Names of the distributions that hold a module."""


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_module_that_is_imported_is_pinned(module):
    pinned = {normal(pin.split("==")[0]) for pin in PINS}
    owners = {normal(one) for one in OWNERS.get(module, [])}
    assert owners & pinned, f"{module} of {owners} is imported by {', '.join(MODULES[module])}"


def test_imports_are_found_inside_functions_and_in_rules():
    assert {"torch", "pyarrow", "huggingface_hub", "httpx2", "peft", "trl", "vl_convert"} <= {
        *MODULES
    }
    assert "Snakefile" in MODULES["snakemake"]


def normal(name: str) -> str:
    """A distribution's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
