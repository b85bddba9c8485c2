"""The layout: imports follow the order of stages, and a stage has one name in four places."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SCRIPTS = PROJECT / "workflow_scripts"
PACKAGE = SCRIPTS / "dpo_neurons"
GROUND = ("files", "running", "statistics", "models", "scorers")
STAGES = (
    "study", "checkpoints", "directions", "activations", "neurons", "interventions", "evaluation",
    "figures",
)  # fmt: skip
ORDER = (*GROUND, *STAGES, "notebook")
"""A module imports from its own subpackage and from those before it, and the errors."""
READ_BY_THE_SNAKEFILE = (
    "activations.shards", "errors", "files.file_faults", "running.code_digest", "running.hardware",
    "study.checks", "study.config_text", "study.intervention_rows", "study.program_options",
    "study.study",
)  # fmt: skip
HEAVY = ("numpy", "pandas", "torch", "transformers", "h5py", "pyarrow", "altair")

MODULES = sorted(path for path in SCRIPTS.rglob("*.py") if path.name != "__init__.py")
FOUND = pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: str(path.relative_to(SCRIPTS).with_suffix(""))
)


def imports_of(path: Path) -> list[ast.ImportFrom | ast.Import]:
    """Every import in a file, those inside functions too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def own_modules(path: Path) -> list[str]:
    """The package's modules that a file imports, less the package's own name."""
    names = []
    for node in imports_of(path):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names.append(node.module or "")
        else:
            names += [alias.name for alias in node.names]
    return [name.removeprefix("dpo_neurons.") for name in names if name.startswith("dpo_neurons.")]


@FOUND
def test_imports_go_with_the_flow(path):
    parts = path.relative_to(SCRIPTS).parts
    room = parts[1] if parts[0] == "dpo_neurons" else parts[0]
    if path == PACKAGE / "errors.py":
        assert own_modules(path) == []
        return
    allowed = ORDER[: ORDER.index(room) + 1]
    for module in own_modules(path):
        assert module == "errors" or module.split(".")[0] in allowed


@FOUND
def test_no_private_name_is_imported(path):
    for node in imports_of(path):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dpo_neurons"):
            assert not [alias.name for alias in node.names if alias.name.startswith("_")]


def test_no_modules_import_each_other_in_a_circle():
    edges = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): set(own_modules(path))
        for path in MODULES
        if path.is_relative_to(PACKAGE)
    }
    waiting = dict(edges)
    while waiting:
        free = [name for name, imported in waiting.items() if not imported & waiting.keys()]
        assert free, f"in a circle: {sorted(waiting)}"
        for name in free:
            del waiting[name]


def test_subpackages_are_those_of_the_flow_and_their_init_files_are_empty():
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert folders == set(ORDER)
    assert all((PACKAGE / name / "__init__.py").read_text() == "" for name in folders)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_one_name_in_all_four_places(stage):
    rules = (PROJECT / "rules" / f"{stage}.smk").read_text(encoding="utf-8")
    assert list((SCRIPTS / stage).glob("*.py"))
    assert list((PACKAGE / stage).glob("[!_]*.py"))
    assert list((PROJECT / "tests" / stage).glob("test_*.py"))
    programs = re.findall(r'code_of\("(\w+)/(\w+)"\)', rules)
    assert {folder for folder, _ in programs} <= {stage}
    assert all((SCRIPTS / stage / f"{name}.py").is_file() for _, name in programs)


@pytest.mark.parametrize("module", READ_BY_THE_SNAKEFILE)
def test_what_the_snakefile_reads_loads_no_heavy_library(module):
    code = f"import sys, dpo_neurons.{module}; print({set(HEAVY)!r} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
