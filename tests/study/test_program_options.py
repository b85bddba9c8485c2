"""Options of programs survive the shell and say what the configuration says."""

import argparse
import copy
import json
import shlex
import sys

import pytest
import score_continuations
from hypothesis import given
from hypothesis import strategies as st
from support.embedded_study import EMBEDDED

from dpo_neurons.study.checks import check_study
from dpo_neurons.study.program_options import (
    plan_options,
    random_set_options,
    random_set_run_options,
    run_options,
    sampling_options,
    scorer_options,
    scorer_run_options,
    selection_options,
    write_options,
)
from dpo_neurons.study.study import Study


@pytest.fixture(scope="module")
def study():
    return check_study(copy.deepcopy(EMBEDDED), "config.yaml")


def rows_in(options):
    """The rows in an option of JSON, as the shell and the program read them."""
    words = shlex.split(options)
    return json.loads(words[words.index("--rows") + 1])


@pytest.mark.parametrize(
    ("entry", "rows"),
    [
        ("none", [{"intervention": "none", "kind": "none"}]),
        (
            "ablate_top_6",
            [{"intervention": "ablate_top_6", "kind": "ablate", "top": 6, "positions": "all"}],
        ),
        (
            "scale_keys_x2",
            [{"intervention": "scale_keys_x2", "kind": "scale_keys", "top": 7, "factor": 2}],
        ),
        (
            "patch_tp_an",
            [
                {"intervention": "patch_tp_an", "kind": "patch", "groups": ["TP-", "AN-"],
                 "values": "mean"},
                {"intervention": "control_tp_an", "kind": "control", "control_of": "patch_tp_an",
                 "groups": ["TP-", "AN-"], "values": "mean"},
            ],
        ),
    ],
)  # fmt: skip
def test_plans_are_described_by_the_rows_of_an_entry(study, entry, rows):
    assert rows_in(plan_options(study, entry)) == rows


def test_runs_say_where_a_row_acts_and_what_it_reads():
    config = copy.deepcopy(EMBEDDED)
    config["interventions"]["patch_p"] = {"kind": "patch", "groups": ["TP-"], "values": "prompt"}
    config["interventions"]["shift_d"] = {"kind": "shift", "dose": [0.5, 1], "groups": ["TP-"]}
    config["interventions"]["shift_d"]["random_sets"] = 3
    config["perplexity"]["positions"] = "first"
    config["sampling"] = {"rows": ["none", "shift_d_d1"]}
    study = check_study(config, "config.yaml")
    patch, control = rows_in(run_options(study, "patch_p"))
    assert patch == {
        "intervention": "patch_p", "generation_positions": "last", "perplexity_positions": "first",
        "source_stage": "post", "source_positions": "generated",
    }  # fmt: skip
    assert control["source_stage"] == "pre"
    assert [row["perplexity_positions"] for row in rows_in(run_options(study, "shift_d"))] == (
        ["all"] * 4
    )
    assert rows_in(sampling_options(study, "shift_d")) == [
        {"intervention": "shift_d_d1", "generation_positions": "last"}
    ]
    sets = random_set_options(study, "shift_d")
    assert [row["intervention"] for row in rows_in(sets)] == ["shift_d_d0.5", "shift_d_d1"]
    assert "--draws 3" in sets
    assert len(rows_in(random_set_run_options(study, "shift_d"))) == 2


SINGLE = st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
SEVERAL = st.lists(st.text().filter(lambda word: not word.startswith("-")), min_size=1)


def parser():
    parser_of_options = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    for name in ("path", "top-n"):
        parser_of_options.add_argument(f"--{name}")
    for name in ("words", "where"):
        parser_of_options.add_argument(f"--{name}", nargs="+")
    return parser_of_options


@given(st.fixed_dictionaries({}, optional={"path": SINGLE, "top_n": SINGLE, "words": SEVERAL}))
def test_options_survive_the_shell_and_the_programs_parser(entry):
    parsed = vars(parser().parse_args(shlex.split(write_options({"kind": "x", **entry}))))
    for key, value in entry.items():
        assert parsed[key] == (value if isinstance(value, list) else str(value))
    assert all(parsed[key] is None for key in parsed.keys() - entry.keys())


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


def parsed_by_the_scorer(options, monkeypatch):
    """What score_continuations.py reads of options that went through the shell."""
    words = ["score_continuations.py", "--continuations", "c", "--output", "o", "--batch-size", "1",
             "--threads", "1", "--guard", "g", "--store", "s", *shlex.split(options)]  # fmt: skip
    monkeypatch.setattr(sys, "argv", words)
    return score_continuations.parse_arguments()


SHIELD = {"kind": "guard", "repository": "google/shieldgemma-2b", "dtype": "bfloat16"}


def test_a_guard_is_asked_as_its_repository_says_unless_the_study_says_otherwise(monkeypatch):
    guideline = '* "No Insult": it\'s {plain}\nand kind.'
    config = {
        "scorer": SHIELD | {"template_settings": {"guideline": guideline}},
        "further_scorers": {
            "llama": {"kind": "guard", "repository": "meta-llama/Llama-Guard-3-8B"},
            "mine": SHIELD | {"template": "{prompt}\n{answer}", "scored_token": "-"},
        },
    }
    for settings in config["further_scorers"].values():
        settings.setdefault("dtype", "float32")
    study = Study(config)
    shield, llama, mine = (
        parsed_by_the_scorer(scorer_options(study, key), monkeypatch) for key in study.scorers
    )
    assert (shield.scored_token, shield.other_token, shield.answer_start) == ("Yes", "No", "")
    assert shield.template_settings == {"add_generation_prompt": False, "guideline": guideline}
    assert (shield.template, shield.dtype, shield.further) == (None, "bfloat16", False)
    assert (llama.scored_token, llama.other_token) == ("unsafe", "safe")
    assert (llama.answer_start, llama.further) == ("\n\n", True)
    assert (mine.scored_token, mine.template) == ("-", "{prompt}\n{answer}")
    assert mine.template_settings == {"add_generation_prompt": False}


def test_options_of_other_scorers_survive_the_shell(monkeypatch):
    phrases = ["- no", "it's", 'a "b"', "Ich möchte nicht"]
    service = {
        "kind": "perspective", "endpoint": "https://a.example", "attributes": ["A", "B"],
        "request_path": "/v2/a:b", "header": "Authorization: Bearer", "queries_per_second": 2,
        "store": "s",
    }  # fmt: skip
    study = Study(
        {
            "scorer": {"kind": "phrases", "phrases": phrases, "match": "anywhere"},
            "further_scorers": {"usual": {"kind": "phrases", "match": "beginning"}, "s": service},
            "compute": {},
        }
    )
    mine, usual, asked = (
        parsed_by_the_scorer(
            f"{scorer_options(study, key)} {scorer_run_options(study, key)}", monkeypatch
        )
        for key in study.scorers
    )
    assert (mine.phrases, mine.match) == (phrases, "anywhere")
    assert (usual.phrases, usual.match) == (None, "beginning")
    assert (asked.request_path, asked.header) == ("/v2/a:b", "Authorization: Bearer")
    assert asked.attributes == ["A", "B"]
    assert "Authorization" not in scorer_options(study, "further_scorers.s")
