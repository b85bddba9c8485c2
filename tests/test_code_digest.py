"""A digest changes with the code that its program runs, and with nothing else."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dpo_neurons.code_digest import (
    UnfollowableCodeError,
    code_digest,
    reached_definitions,
)

TESTS = Path(__file__).parent
SCRIPTS = TESTS.parent / "workflow_scripts"
PROGRAMS = sorted(SCRIPTS.glob("*.py"))
MODULES = sorted(path.stem for path in (SCRIPTS / "dpo_neurons").glob("[!_]*.py"))

USE_LOAD = "from shared.plans import load\n\nprint(load(1))\n"
LOAD = "def load(path):\n    return path\n"


class Scripts:
    """A folder with a program and its package, both given as text."""

    def __init__(self, root: Path, program: str, **modules: str) -> None:
        self.root = root
        self.program = root / "make_thing.py"
        self.program.write_text(program, encoding="utf-8")
        self.write(__init__="")
        self.write(**modules)

    def write(self, **modules: str) -> None:
        """Write modules of the package; two underscores in a name stand for a sub-package."""
        for name, text in modules.items():
            package, _, module = name.rpartition("__") if name[0] != "_" else ("", "", name)
            path = self.root / "shared" / package / f"{module or '__init__'}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def changed(self, **modules: str) -> bool:
        """Whether the digest changes when these modules are written anew."""
        before = code_digest(self.program)
        self.write(**modules)
        return code_digest(self.program) != before

    @property
    def reached(self) -> set[str]:
        """What the program reaches in the package, as module.name without the package's."""
        reached = reached_definitions(self.program)
        return {f"{module}.{name}"[len("shared.") :] for module, name in reached if "." in module}


def test_a_digest_is_sixteen_hexadecimal_characters(tmp_path):
    digest = code_digest(str(Scripts(tmp_path, USE_LOAD, plans=LOAD).program))
    assert len(digest) == 16
    assert set(digest) <= set("0123456789abcdef")


def test_a_missing_program_is_an_error_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.py"):
        code_digest(tmp_path / "absent.py")


def test_other_processes_compute_the_same_digest(tmp_path):
    scripts = Scripts(
        tmp_path, "from shared import plans, rows\nprint(plans, rows)\n", plans=LOAD, rows="A = {}"
    )
    line = "import sys; from dpo_neurons.code_digest import code_digest as d; print(d(sys.argv[1]))"
    for seed in ("1", "2"):
        printed = subprocess.run(
            [sys.executable, "-c", line, scripts.program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(SCRIPTS)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert printed.stdout.strip() == code_digest(scripts.program)


def test_a_digest_does_not_depend_on_where_the_folder_is(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    here = Scripts(tmp_path / "a", USE_LOAD, plans=LOAD)
    there = Scripts(tmp_path / "b", USE_LOAD, plans=LOAD)
    assert code_digest(here.program) == code_digest(there.program)


@pytest.mark.parametrize(
    "same",
    [
        pytest.param("# why\ndef load(path):\n\n    return path  # so\n", id="comment"),
        pytest.param(
            '"""Plans."""\n\ndef load(path):\n    """Load."""\n    return path\n', id="docstring"
        ),
        pytest.param(
            "def load(\n    path,\n):\n    return (\n        path\n    )\n", id="formatting"
        ),
        pytest.param("import json\n\ndef load(path):\n    return path\n", id="unrelated import"),
        pytest.param(LOAD + "\ndef save(path):\n    return 1\n", id="unrelated function"),
        pytest.param("LIMIT = 3\n" + LOAD, id="unrelated constant"),
        pytest.param("class Plan:\n    size = 1\n\n" + LOAD, id="unrelated class"),
        pytest.param("import re\nWORD = re.compile('a')\n" + LOAD, id="unrelated outside call"),
    ],
)
def test_what_does_not_run_differently_changes_nothing(tmp_path, same):
    assert not Scripts(tmp_path, USE_LOAD, plans=LOAD).changed(plans=same)


def test_attribute_docstrings_change_nothing(tmp_path):
    program = "from shared.plans import Plan\nprint(Plan)\n"
    plain = "class Plan:\n    size: int\n"
    scripts = Scripts(tmp_path, program, plans=plain)
    assert not scripts.changed(plans='class Plan:\n    size: int\n    """Rows."""\n')


def test_a_docstring_in_place_of_pass_changes_nothing(tmp_path):
    program = "from shared.plans import PlanError\nraise PlanError\n"
    scripts = Scripts(tmp_path, program, plans="class PlanError(Exception):\n    pass\n")
    assert not scripts.changed(plans='class PlanError(Exception):\n    """Bad."""\n')


def test_a_touched_file_changes_nothing(tmp_path):
    scripts = Scripts(tmp_path, USE_LOAD, plans=LOAD)
    before = code_digest(scripts.program)
    os.utime(scripts.root / "shared" / "plans.py", (1, 1))
    os.utime(scripts.program, (1, 1))
    assert code_digest(scripts.program) == before


def test_reordered_functions_change_nothing(tmp_path):
    program = "from shared.plans import a, b\nprint(a(), b())\n"
    one, two = "def a():\n    return 1\n", "def b():\n    return 2\n"
    assert not Scripts(tmp_path, program, plans=one + two).changed(plans=two + one)


def test_reordered_constants_count_for_one_may_follow_from_another(tmp_path):
    program = "from shared.plans import B\nprint(B)\n"
    scripts = Scripts(tmp_path, program, plans="A = 1\nB = A\nA = 2\n")
    assert scripts.changed(plans="A = 1\nA = 2\nB = A\n")


DEFINITIONS_OF_THING = {
    "function": "def thing():\n return {}\n",
    "async function": "async def thing():\n return {}\n",
    "called function": "def thing():\n return f()\ndef f():\n return {}\n",
    "mutual recursion": "def thing():\n return f()\ndef f():\n return g()\ndef g():\n f({})\n",
    "method": "class thing:\n def of(self):\n  return {}\n",
    "class attribute": "class thing:\n size = {}\n",
    "base class": "class Base:\n size = {}\nclass thing(Base):\n pass\n",
    "metaclass": "class Meta(type):\n size = {}\nclass thing(metaclass=Meta):\n pass\n",
    "constant": "thing = {}\n",
    "constant that a function reads": "SIZE = {}\ndef thing():\n return SIZE\n",
    "annotated constant": "SIZE: int = {}\nthing = SIZE\n",
    "tuple target": "SIZE, (thing, *REST) = 1, ({}, 2)\n",
    "augmented assignment": "thing = 1\nthing += {}\n",
    "one of two bindings": "def thing():\n return {}\ndef thing():\n return 9\n",
    "definition under if": "if 1:\n def thing():\n  return {}\n",
    "condition around a definition": "if {}:\n def thing():\n  return 3\n",
    "definition under try": "try:\n import zoo\nexcept ImportError:\n thing = {}\n",
    "definition under with": "with open('/dev/null'):\n thing = {}\n",
    "table that is filled later": "thing = dict()\nthing['a'] = {}\n",
    "table of functions": "def f():\n return {}\nthing = {{'f': f}}\n",
    "table of lambdas": "thing = {{'f': lambda: {}}}\n",
    "decorator": "def twice(f):\n return {}\n@twice\ndef thing():\n return 1\n",
    "argument of a decorator": "import re\n@re.sub({})\ndef thing():\n return 1\n",
    "default value": "SIZE = {}\ndef thing(size=SIZE):\n return size\n",
    "annotation": "class Size:\n unit = {}\ndef thing(size: Size):\n return size\n",
    "lambda": "def f():\n return {}\nthing = lambda: f()\n",
    "comprehension": "def f(n):\n return {}\ndef thing():\n return [f(n) for n in 'ab']\n",
    "format string": "def f():\n return {}\ndef thing():\n return f'{{f():>3}}'\n",
    "attribute of a call": "def f():\n return {}\ndef thing():\n return f().real\n",
    "nested function": "def f():\n return {}\ndef thing():\n def inner():\n  f()\n return inner\n",
    "global": "SIZE = 0\ndef f():\n global SIZE\n SIZE = {}\ndef thing():\n f()\n return SIZE\n",
}


@pytest.mark.parametrize("kind", DEFINITIONS_OF_THING)
def test_a_changed_definition_changes_the_digest(tmp_path, kind):
    text = DEFINITIONS_OF_THING[kind]
    scripts = Scripts(
        tmp_path, "from shared.plans import thing\nprint(thing)\n", plans=text.format(1)
    )
    assert scripts.changed(plans=text.format(2))
    assert not scripts.changed(plans=text.format(2) + "\n\ndef unused():\n    return 1\n")


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


def test_another_meaning_of_a_name_from_outside_changes_the_digest(tmp_path):
    text = "from numpy import {} as average\ndef load(path):\n    return average(path)\n"
    scripts = Scripts(tmp_path, USE_LOAD, plans=text.format("mean"))
    assert scripts.changed(plans=text.format("median"))


def test_another_meaning_through_a_re_export_changes_the_digest(tmp_path):
    scripts = Scripts(
        tmp_path,
        USE_LOAD,
        plans="from shared.reading import load\n",
        reading="from json import load\n",
    )
    assert scripts.changed(reading="from tomllib import load\n")


def test_another_meaning_of_a_name_of_ours_changes_the_digest(tmp_path):
    text = "from shared.rows import {} as a, {} as b\ndef load(path):\n    return a, b\n"
    rows = "def mean():\n    return 1\ndef median():\n    return 2\n"
    scripts = Scripts(tmp_path, USE_LOAD, plans=text.format("mean", "median"), rows=rows)
    assert scripts.changed(plans=text.format("median", "mean"))


def test_another_spelling_of_the_same_import_changes_nothing(tmp_path):
    use = "def load(path):\n    return nn(path)\n"
    scripts = Scripts(tmp_path, USE_LOAD, plans="from torch import nn\n" + use)
    assert not scripts.changed(plans="import torch.nn as nn\n" + use)


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


def test_the_order_of_registration_counts(tmp_path):
    head = "TABLE = []\ndef register(f):\n    TABLE.append(f)\n    return f\n"
    one, two = "@register\ndef a():\n    return 1\n", "@register\ndef b():\n    return 2\n"
    program = "from shared.plans import TABLE\nprint(TABLE)\n"
    assert Scripts(tmp_path, program, plans=head + one + two).changed(plans=head + two + one)


def test_a_shared_function_changes_only_the_programs_that_reach_it(tmp_path):
    scripts = Scripts(tmp_path, USE_LOAD, plans=LOAD + "def save():\n    return 1\n")
    other = tmp_path / "save_thing.py"
    other.write_text("from shared.plans import save\nsave()\n", encoding="utf-8")
    before = code_digest(scripts.program), code_digest(other)
    scripts.write(plans=LOAD + "def save():\n    return 2\n")
    after = code_digest(scripts.program), code_digest(other)
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_all_of_the_program_counts(tmp_path):
    scripts = Scripts(tmp_path, "def unused():\n    return 1\n\nprint(3)\n")
    before = code_digest(scripts.program)
    assert reached_definitions(scripts.program) == {
        ("make_thing", "unused"),
        ("make_thing", "<module>"),
    }
    scripts.program.write_text("def unused():\n    return 2\n\nprint(3)\n", encoding="utf-8")
    assert code_digest(scripts.program) != before


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
        code_digest(scripts.program)


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
    code_digest(Scripts(tmp_path, USE_LOAD, plans=LOAD + text).program)


def test_thirty_programs_of_forty_modules_take_less_than_half_a_second(tmp_path):
    body = "".join(
        f"def f{n}(x):\n    y = [np.mean(v) for v in x if v > {n}]\n"
        f"    return f{n + 1}(y), m.f0(y)\n"
        for n in range(15)
    )
    for n in range(40):
        head = f"import numpy as np\nfrom shared import module{(n + 1) % 40} as m\n"
        Scripts(tmp_path, "", **{f"module{n}": head + body + "f15 = len\n"})
    for n in range(30):
        program = tmp_path / f"program{n}.py"
        program.write_text(f"from shared.module{n} import f0\nprint(f0([{n}]))\n", encoding="utf-8")
    # Each copy is read from cold; the fastest says what the code takes, the others what else ran.
    seconds = []
    for attempt in range(5):
        copy = tmp_path.with_name(f"{tmp_path.name}-copy{attempt}")
        shutil.copytree(tmp_path, copy)
        start = time.process_time()
        digests = {code_digest(copy / f"program{n}.py") for n in range(30)}
        seconds.append(time.process_time() - start)
        assert len(digests) == 30
    assert min(seconds) < 0.5


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_every_program_has_a_digest_of_what_it_reaches(program):
    assert len(code_digest(program)) == 16
    reached = reached_definitions(program)
    assert (program.stem, "main") in reached
    assert any(module.startswith("dpo_neurons.") for module, _ in reached)


@pytest.mark.parametrize("module", MODULES)
def test_every_module_of_the_package_can_be_followed(module):
    assert len(code_digest(SCRIPTS / "dpo_neurons" / f"{module}.py")) == 16


def executed_functions(program: Path, *arguments: str, out: Path) -> set[tuple[str, str]]:
    """Run a program in a process of its own; (module, name) of the functions that ran."""
    trace = TESTS / "function_trace.py"
    subprocess.run([sys.executable, trace, out, program, *arguments], check=True)
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
    reached = reached_definitions(scripts.program)
    assert executed <= reached
    assert ("shared.rows", "unused") not in reached
