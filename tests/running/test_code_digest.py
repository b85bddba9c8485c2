"""A digest changes with the code that its program runs, and with nothing else."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.scripts_as_text import LOAD, USE_LOAD, Scripts

from dpo_neurons.running.code_digest import code_digest, reached_definitions

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"


def test_a_digest_is_sixteen_hexadecimal_characters(tmp_path):
    digest = code_digest(Scripts(tmp_path, USE_LOAD, plans=LOAD).program, tmp_path)
    assert len(digest) == 16
    assert set(digest) <= set("0123456789abcdef")


def test_a_missing_program_is_an_error_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.py"):
        code_digest(tmp_path / "absent.py", tmp_path)


def test_other_processes_compute_the_same_digest(tmp_path):
    scripts = Scripts(
        tmp_path, "from shared import plans, rows\nprint(plans, rows)\n", plans=LOAD, rows="A = {}"
    )
    line = (
        "import sys; from pathlib import Path; "
        "from dpo_neurons.running.code_digest import code_digest as d; "
        "print(d(Path(sys.argv[1]), Path(sys.argv[1]).parent))"
    )
    for seed in ("1", "2"):
        printed = subprocess.run(
            [sys.executable, "-c", line, scripts.program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(SCRIPTS)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert printed.stdout.strip() == code_digest(scripts.program, scripts.root)


def test_a_digest_does_not_depend_on_where_the_folder_is(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    here = Scripts(tmp_path / "a", USE_LOAD, plans=LOAD)
    there = Scripts(tmp_path / "b", USE_LOAD, plans=LOAD)
    assert code_digest(here.program, here.root) == code_digest(there.program, there.root)


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
    before = code_digest(scripts.program, scripts.root)
    os.utime(scripts.root / "shared" / "plans.py", (1, 1))
    os.utime(scripts.program, (1, 1))
    assert code_digest(scripts.program, scripts.root) == before


def test_reordered_functions_change_nothing(tmp_path):
    program = "from shared.plans import a, b\nprint(a(), b())\n"
    one, two = "def a():\n    return 1\n", "def b():\n    return 2\n"
    assert not Scripts(tmp_path, program, plans=one + two).changed(plans=two + one)


def test_reordered_constants_count_for_one_may_follow_from_another(tmp_path):
    program = "from shared.plans import B\nprint(B)\n"
    scripts = Scripts(tmp_path, program, plans="A = 1\nB = A\nA = 2\n")
    assert scripts.changed(plans="A = 1\nA = 2\nB = A\n")


def test_the_order_of_registration_counts(tmp_path):
    head = "TABLE = []\ndef register(f):\n    TABLE.append(f)\n    return f\n"
    one, two = "@register\ndef a():\n    return 1\n", "@register\ndef b():\n    return 2\n"
    program = "from shared.plans import TABLE\nprint(TABLE)\n"
    assert Scripts(tmp_path, program, plans=head + one + two).changed(plans=head + two + one)


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


def test_a_shared_function_changes_only_the_programs_that_reach_it(tmp_path):
    scripts = Scripts(tmp_path, USE_LOAD, plans=LOAD + "def save():\n    return 1\n")
    other = tmp_path / "save_thing.py"
    other.write_text("from shared.plans import save\nsave()\n", encoding="utf-8")
    before = code_digest(scripts.program, scripts.root), code_digest(other, other.parent)
    scripts.write(plans=LOAD + "def save():\n    return 2\n")
    after = code_digest(scripts.program, scripts.root), code_digest(other, other.parent)
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_all_of_the_program_counts(tmp_path):
    scripts = Scripts(tmp_path, "def unused():\n    return 1\n\nprint(3)\n")
    before = code_digest(scripts.program, scripts.root)
    assert reached_definitions(scripts.program, scripts.root) == {
        ("make_thing", "unused"),
        ("make_thing", "<module>"),
    }
    scripts.program.write_text("def unused():\n    return 2\n\nprint(3)\n", encoding="utf-8")
    assert code_digest(scripts.program, scripts.root) != before


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
    # Each copy is read without a cache. The fastest time is the code's; others include noise.
    seconds = []
    for attempt in range(5):
        copy = tmp_path.with_name(f"{tmp_path.name}-copy{attempt}")
        shutil.copytree(tmp_path, copy)
        start = time.process_time()
        digests = {code_digest(copy / f"program{n}.py", copy) for n in range(30)}
        seconds.append(time.process_time() - start)
        assert len(digests) == 30
    assert min(seconds) < 0.5
