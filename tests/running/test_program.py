"""Programs: users' errors, bugs and threads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(code, *arguments, **environment):
    """Run a program written here, with none of this process's thread settings."""
    inherited = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT / "workflow_scripts", env=inherited | environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_users_mistake_is_one_line_and_exit_status_one():
    done = run("""
from dpo_neurons.errors import InputError
from dpo_neurons.running.program import run_program
def main():
    try:
        open("/nowhere/at/all")
    except OSError as error:
        raise InputError("a.yaml: seed is missing; add it") from error
run_program(main)
""")
    assert done.returncode == 1
    *log_lines, last = done.stderr.splitlines()
    assert last == "Error: a.yaml: seed is missing; add it"
    assert "Traceback" not in done.stderr
    assert len(log_lines) == 2
    assert "python 3." in log_lines[1]
    assert "torch" in log_lines[1]


def test_a_bug_keeps_its_traceback():
    done = run("""
from dpo_neurons.running.program import run_program
def main():
    return {}["missing"]
run_program(main)
""")
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.endswith("KeyError: 'missing'\n")
    assert "Error: " not in done.stderr.replace("KeyError: ", "")


def test_a_program_that_ends_well_says_how_it_was_called():
    done = run(
        "from dpo_neurons.running.program import run_program; run_program(lambda: None)",
        "--seed",
        "3",
    )
    assert done.returncode == 0
    assert done.stderr.splitlines()[0].endswith("--seed 3")
    assert done.stdout == ""


def test_torch_and_its_environment_obey_the_declared_threads():
    done = run("""
import os, sys
from dpo_neurons.running.program import obey_threads
assert "torch" not in sys.modules
obey_threads(3)
import torch
names = ("OMP", "MKL", "OPENBLAS", "RAYON")
print(torch.get_num_threads(), torch.get_num_interop_threads(),
      *(os.environ[f"{name}_NUM_THREADS"] for name in names))
""")
    assert done.stdout.split() == ["3", "1", "3", "3", "3", "3"], done.stderr


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core leaves nothing to disobey with")
def test_every_thread_pool_of_a_program_obeys_the_declared_threads():
    done = run("""
from dpo_neurons.running.program import obey_threads
obey_threads(1)
import sklearn, torch
from threadpoolctl import threadpool_info
print([(pool["user_api"], pool["internal_api"], pool["num_threads"]) for pool in threadpool_info()
       if pool["num_threads"] != 1])
""")
    assert done.stdout == "[]\n", done.stderr


SCRIPTS = sorted(
    path
    for path in (ROOT / "workflow_scripts").glob("*/*.py")
    if "run_program(main)" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("program", SCRIPTS, ids=lambda path: path.stem)
def test_every_program_is_documented_and_named_verb_noun(program):
    source = program.read_text(encoding="utf-8")
    assert source.startswith('"""')
    assert "argparse.ArgumentParser(description=__doc__)" in source
    assert "_" in program.stem


def test_programs_load_torch_only_after_they_set_its_threads():
    obeying = [path for path in SCRIPTS if "obey_threads(" in path.read_text(encoding="utf-8")]
    done = run(
        """
import runpy, sys
for program in sys.argv[1:]:
    runpy.run_path(program)
    assert "torch" not in sys.modules, program
""",
        *map(str, obeying),
    )
    assert len(obeying) > 10
    assert done.returncode == 0, done.stderr


def test_a_program_that_ends_leaves_no_objects_to_search_for_cycles():
    done = run("""
import atexit, gc
from dpo_neurons.running.program import run_program
atexit.register(lambda: print(len(gc.get_objects()) < 100 < gc.get_freeze_count()))
def main():
    raise SystemExit(3)
run_program(main)
""")
    assert (done.stdout, done.returncode) == ("True\n", 3)


WRITES_AFTER = """
import sys, time
from pathlib import Path
from dpo_neurons.files.output_files import whole_file
from dpo_neurons.running.program import run_program
def main():
    print("began", flush=True)
    time.sleep(float(sys.argv[1]))
    with whole_file(Path(sys.argv[2])) as partial:
        partial.write_text(sys.argv[3])
run_program(main)
"""


@pytest.mark.parametrize("ends", ["by itself", "killed"])
def test_a_job_waits_for_that_of_a_killed_run_which_makes_the_same_files(tmp_path, ends):
    def job(seconds, text):
        with (tmp_path / "job.log").open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-c", WRITES_AFTER, str(seconds), tmp_path / "out", text],
                cwd=ROOT / "workflow_scripts", stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip

    orphan = job(2 if ends == "by itself" else 60, "old settings")
    assert orphan.stdout.readline() == "began\n"
    again = job(0, "new settings")
    try:
        while "waiting until it ends" not in (tmp_path / "job.log").read_text(errors="replace"):
            assert again.poll() is None
        if ends == "killed":
            orphan.kill()
        assert again.wait(timeout=60) == 0
    finally:
        orphan.kill()
    assert (tmp_path / "out").read_text() == "new settings"
    assert orphan.wait() == (0 if ends == "by itself" else -9)
