"""Definitions that a program reaches: everything it can run, or an error."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.scripts_as_text import LOAD, USE_LOAD, Scripts

from dpo_neurons.running.code_digest import (
    UnfollowableCodeError,
    code_digest,
    reached_definitions,
)

TESTS = Path(__file__).parents[1]
SCRIPTS = TESTS.parent / "workflow_scripts"
PROGRAMS = sorted(path for path in SCRIPTS.glob("*/*.py") if path.parent.name != "dpo_neurons")
MODULES = sorted((SCRIPTS / "dpo_neurons").rglob("[!_]*.py"))


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("from shared.plans import load\nload(1)\n", id="from module"),
        pytest.param("from shared.plans import load as read\nread(1)\n", id="from module as"),
        pytest.param("from shared import plans\nplans.load(1)\n", id="from package"),
        pytest.param("from shared import plans as p\np.load(1)\n", id="from package as"),
        pytest.param("import shared.plans\nshared.plans.load(1)\n", id="import"),
        pytest.param("import shared.plans as p\np.load(1)\n", id="import as"),
        pytest.param("def main():\n from shared.plans import load\n load(1)\n", id="in function"),
        pytest.param("def main():\n import shared.plans as p\n p.load(1)\n", id="as in function"),
        pytest.param("class Main:\n    from shared.plans import load\n", id="in class"),
        pytest.param("if True:\n    from shared import plans\nplans.load(1)\n", id="under if"),
        pytest.param(
            "def prepare():\n    global plans\n    from shared import plans\n"
            "def main():\n    prepare()\n    plans.load(1)\n",
            id="global in function",
        ),
        pytest.param("from shared import plans\nload = plans.load\nload(1)\n", id="by assignment"),
    ],
)
def test_every_spelling_of_an_import_reaches_just_the_definition(tmp_path, program):
    scripts = Scripts(tmp_path, program, plans=LOAD + "def save():\n    return 1\n")
    assert scripts.reached == {"plans.load"}
    assert scripts.changed(plans="def load(path):\n    return [path]\n")
    assert not scripts.changed(
        plans="def load(path):\n    return [path]\ndef save():\n    return 2\n"
    )


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("from shared import plans\nrun(plans)\n", id="as an argument"),
        pytest.param("from shared import plans\ngetattr(plans, 'load')(1)\n", id="by getattr"),
        pytest.param("from shared import plans\nTABLE = {'plans': plans}\n", id="in a table"),
        pytest.param("import shared\nrun(shared)\n", id="as part of its package"),
        pytest.param("from shared.plans import later\nlater()\n", id="by a name it lacks"),
    ],
)
def test_a_module_used_as_an_object_is_reached_whole(tmp_path, program):
    plans = "from shared.rows import count\n" + LOAD + "A = 1\n"
    scripts = Scripts(tmp_path, program, plans=plans, rows="def count():\n    return 1\n")
    assert scripts.reached == {"plans.load", "plans.A", "rows.count"}


def test_names_are_followed_through_re_exports(tmp_path):
    scripts = Scripts(
        tmp_path,
        "from shared.scorers import SCORERS, Scorer\nScorer(SCORERS['lexicon'])\n",
        scorers__="from shared.scorers.lexicon import Lexicon\n"
        "from shared.scorers.base import Scorer\nSCORERS = {'lexicon': Lexicon}\n",
        scorers__base="class Scorer:\n    size = 1\n",
        scorers__lexicon="class Lexicon:\n    size = 1\ndef unused():\n    return 1\n",
    )
    assert scripts.reached == {
        "scorers.SCORERS",
        "scorers.base.Scorer",
        "scorers.lexicon.Lexicon",
    }
    assert scripts.changed(scorers__lexicon="class Lexicon:\n    size = 2\n")


def test_a_circle_of_imports_and_re_exports_ends(tmp_path):
    scripts = Scripts(
        tmp_path,
        "from shared.a import f, missing\nf(missing)\n",
        a="from shared.b import g, missing\ndef f():\n    return g()\n",
        b="from shared.a import f, missing\ndef g():\n    return f()\n",
    )
    assert scripts.reached == {"a.f", "b.g"}


def test_statements_of_an_imported_module_count_with_what_they_refer_to(tmp_path):
    registry = "TABLE = {}\ndef register(name, function):\n    TABLE[name] = function\n"
    text = (
        "from shared.registry import register\ndef run():\n    return helper()\n"
        "def helper():\n    return {}\nregister('run', run)\n"
    )
    scripts = Scripts(
        tmp_path,
        "import shared.rows\nfrom shared import registry\nregistry.TABLE['run']()\n",
        registry=registry,
        rows="from shared import runs\n",
        runs=text.format(1),
    )
    assert scripts.reached == {
        "registry.TABLE",
        "registry.register",
        "runs.run",
        "runs.helper",
        "runs.<module>",
    }
    assert scripts.changed(runs=text.format(2))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("@register\ndef run():\n    return {}\n", id="decorated function"),
        pytest.param(
            "@app.command('run')\ndef run():\n    return {}\n", id="method of an outside object"
        ),
        pytest.param("class Run(Base):\n    size = {}\n", id="subclass"),
        pytest.param(
            "def run():\n    return {}\nRUN = register(run)\n", id="call in an assignment"
        ),
        pytest.param(
            "class Run:\n    @register\n    def run(self):\n        return {}\n", id="method"
        ),
        pytest.param(
            "def make():\n    return {}\ndef run(size=make()):\n    return 1\n", id="default"
        ),
    ],
)
def test_what_registers_itself_on_import_counts_without_being_named(tmp_path, text):
    head = (
        "import typer\napp = typer.Typer()\nTABLE = []\nclass Base:\n    pass\n"
        "def register(f):\n    TABLE.append(f)\n    return f\n"
    )
    program = "from shared import plans\nprint(plans.TABLE)\n"
    scripts = Scripts(tmp_path, program, plans=head + text.format(1))
    assert scripts.changed(plans=head + text.format(2))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("from shared.rows import *", "star import"),
        ("from .rows import count", "relative"),
        ("from . import rows", "relative"),
        ("import shared.absent", "no file for shared.absent"),
        ("import importlib; importlib.import_module('shared.rows')", "importlib.import_module"),
        (
            "from importlib import import_module as get; get('shared.rows')",
            "importlib.import_module",
        ),
        ("__import__('shared.rows')", "__import__"),
        ("eval('count()')", "eval"),
        ("globals()['count']()", "globals"),
    ],
)
def test_what_cannot_be_followed_is_an_error_with_file_and_line(tmp_path, line, said):
    scripts = Scripts(
        tmp_path, USE_LOAD, plans=f"{LOAD}\n{line}\n", rows="def count():\n    return 1\n"
    )
    with pytest.raises(UnfollowableCodeError, match=f"plans.py, line 4: .*{said}"):
        code_digest(scripts.program, scripts.root)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("def unused():\n    return __import__('json')\n", id="not reached"),
        pytest.param(
            "from importlib.metadata import version\nVERSION = version('torch')\n", id="metadata"
        ),
        pytest.param(
            "def evaluate(model):\n    model.eval()\nevaluate(1)\n", id="method called eval"
        ),
    ],
)
def test_what_only_looks_like_a_computed_import_is_allowed(tmp_path, text):
    code_digest(Scripts(tmp_path, USE_LOAD, plans=LOAD + text).program, tmp_path)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_every_program_has_a_digest_of_what_it_reaches(program):
    assert len(code_digest(program, SCRIPTS)) == 16
    reached = reached_definitions(program, SCRIPTS)
    assert (f"{program.parent.name}.{program.stem}", "main") in reached
    assert any(module.startswith("dpo_neurons.") for module, _ in reached)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_every_module_of_the_package_can_be_followed(module):
    assert len(code_digest(module, SCRIPTS)) == 16


def executed_functions(program: Path, *arguments: str, out: Path) -> set[tuple[str, str]]:
    """Run a program in a process of its own; (module, name) of the functions that ran."""
    trace = TESTS / "support/function_trace.py"
    subprocess.run([sys.executable, trace, out, program.parent, program, *arguments], check=True)
    return {(module, name) for module, name in json.loads(out.read_text(encoding="utf-8"))}


def test_every_function_that_runs_is_in_the_digest(tmp_path):
    (tmp_path / "scripts").mkdir()
    scripts = Scripts(
        tmp_path / "scripts",
        "import sys, threading\nfrom contextlib import closing\nfrom shared import rows as r\n"
        "from shared.scorers import SCORERS\n\n"
        "def main(argument):\n    from shared.late import late\n"
        "    thread = threading.Thread(target=late)\n    thread.start()\n    thread.join()\n"
        "    with r.opened() as table:\n        print(SCORERS[argument]().score(table))\n\n"
        "if __name__ == '__main__':\n    main(sys.argv[1])\n    sys.exit(0)\n",
        rows="from contextlib import contextmanager\n@contextmanager\ndef opened():\n"
        "    yield [int(n) for n in numbers()]\ndef numbers():\n    yield from '123'\n"
        "def unused():\n    pass\n",
        late="def late():\n    return (lambda: later())()\ndef later():\n    return 1\n",
        registry="TABLE = {}\ndef register(name):\n    def keep(made):\n"
        "        TABLE[name] = made\n        return made\n    return keep\n"
        "class Scorer:\n    def __init_subclass__(cls):\n        note()\n"
        "    def score(self, rows):\n        return sum(map(self.value, rows))\n"
        "def note():\n    pass\ndef start():\n    return 5\nSTART = start()\n",
        scorers__="from shared.registry import TABLE as SCORERS\nimport shared.scorers.lexicon\n",
        scorers__lexicon="from shared.registry import Scorer, register\n"
        "@register('lexicon')\nclass Lexicon(Scorer):\n    def value(self, row):\n"
        "        return weight(row)\ndef weight(row):\n    return 2 * row\n",
    )
    executed = executed_functions(scripts.program, "lexicon", out=tmp_path / "trace.json")
    assert executed == {
        ("make_thing", "main"),
        ("shared.late", "late"),
        ("shared.late", "later"),
        ("shared.registry", "Scorer"),
        ("shared.registry", "note"),
        ("shared.registry", "register"),
        ("shared.registry", "start"),
        ("shared.rows", "numbers"),
        ("shared.rows", "opened"),
        ("shared.scorers.lexicon", "Lexicon"),
        ("shared.scorers.lexicon", "weight"),
    }
    reached = reached_definitions(scripts.program, scripts.root)
    assert executed <= reached
    assert ("shared.rows", "unused") not in reached
