"""Options of programs survive the shell and say what the configuration says."""

import argparse
import copy
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.embedded_study import EMBEDDED

from dpo_neurons.study.checks import check_study
from dpo_neurons.study.program_options import (
    plan_options,
    selection_options,
    write_options,
)
from dpo_neurons.study.study import Study


@pytest.fixture(scope="module")
def study():
    return check_study(copy.deepcopy(EMBEDDED), "config.yaml")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none", "--kind none"),
        ("dpo", "--kind dpo"),
        ("ablate_top_6", "--kind ablate --top 6 --positions all"),
        ("ablate_positive", "--kind ablate --top 3 --activation positive --positions all"),
        ("scale_keys_x2", "--kind scale_keys --top 7 --factor 2"),
        ("patch_tp_an", "--kind patch --groups TP- AN- --values mean"),
        (
            "control_tp_an",
            "--kind control --control-of patch_tp_an --groups TP- AN- --values mean",
        ),
    ],
)
def test_plan_options_are_those_of_the_program(study, name, words):
    assert plan_options(study, name) == words


SINGLE = st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
SEVERAL = st.lists(st.text().filter(lambda word: not word.startswith("-")), min_size=1)


def parser():
    found = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    for name in ("path", "top-n"):
        found.add_argument(f"--{name}")
    for name in ("words", "where"):
        found.add_argument(f"--{name}", nargs="+")
    return found


@given(st.fixed_dictionaries({}, optional={"path": SINGLE, "top_n": SINGLE, "words": SEVERAL}))
def test_options_survive_the_shell_and_the_programs_parser(entry):
    found = vars(parser().parse_args(shlex.split(write_options({"kind": "x", **entry}))))
    for key, value in entry.items():
        assert found[key] == (value if isinstance(value, list) else str(value))
    assert all(found[key] is None for key in found.keys() - entry.keys())


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"challenging": True, "n": 3}, ["challenging=true", "n=3"]),
        ({"a b": " x"}, ["a b= x"]),
        ({"a": "-x"}, ["a=-x"]),
        ({"é": "“q” 'r' $HOME"}, ["é=“q” 'r' $HOME"]),
        ({"a": ""}, ["a="]),
        ({"a": False}, ["a=false"]),
        ({"a": "True"}, ["a=True"]),
    ],
)
def test_a_mapping_becomes_pairs(value, words):
    assert parser().parse_args(shlex.split(write_options({"where": value}))).where == words


def test_a_number_that_argparse_would_take_for_an_option_is_joined_to_its_own():
    assert write_options({"factor": -1e-5, "top": 3}) == "--factor=-1e-05 --top 3"


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("en", "en"), ("1.10", '"1.10"'), ("007", "007"), ("true", '"true"'), ("True", '"True"'),
        ("null", '"null"'), (1.1, "1.1"), (True, "true"), ('"a"', '"\\"a\\""'), ("{a}", "{a}"),
    ],
)  # fmt: skip
def test_a_condition_reaches_the_import_as_the_text_or_number_that_it_is(value, word):
    entry = {"kind": "file", "path": "a.csv", "where": {"column": value}}
    study = Study({"data": {"challenge_prompts": entry}})
    written = shlex.split(selection_options(study, "challenge_prompts"))
    assert written == ["--where", f"column={word}"]
