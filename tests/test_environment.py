"""The two lists of dependencies say the same."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
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
