"""The configuration: every kind of mistake is a sentence that names file, key and remedy."""

import argparse
import copy
import re
import shlex
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dpo_neurons.errors import InputError
from dpo_neurons.study.checks import check_study
from dpo_neurons.study.program_options import (
    fetch_options,
    plan_options,
    scorer_options,
    selection_options,
    write_options,
)
from dpo_neurons.study.study import Study, any_of

PROJECT = Path(__file__).parents[2]
EMBEDDED = yaml.safe_load((PROJECT / "config.yaml").read_text("utf-8"))
EMBEDDED["figures"]["1a_layer_projections"]["ablated"] = "ablate_top_6"
EMBEDDED["sampling"]["rows"] = ["none"]
EMBEDDED["interventions"] = {
    "ablate_top_6": {"kind": "ablate", "top": 6},
    "ablate_positive": {"kind": "ablate", "top": 3, "activation": "positive"},
    "scale_keys_x2": {"kind": "scale_keys", "top": 7, "factor": 2},
    "patch_tp": {"kind": "patch", "groups": ["TP-"]},
    "patch_tp_an": {"kind": "patch", "groups": ["TP-", "AN-"]},
}


def changed(**changes):
    """The embedded study with values changed, by dotted key; … removes one."""
    config = copy.deepcopy(EMBEDDED)
    for key, value in changes.items():
        *path, last = key.split("__")
        entry = config
        for part in path:
            entry = entry[part]
        if value is ...:
            del entry[last]
        else:
            entry[last] = value
    return config


@pytest.fixture(scope="module")
def study():
    return check_study(copy.deepcopy(EMBEDDED), "config.yaml")


FILE = {"kind": "file", "path": "Snakefile"}
SFT = {"kind": "sft", "learning_rate": 1e-5, "warmup_steps": 0, "steps": 1, "batch_size": 1}
LLAMA = {**EMBEDDED["models"]["toy"]["pre"], "architecture": "llama"}
PROBE = {"kind": "probe", "validation_share": 0.1}
SVD = {"kind": "svd", "from": "probe", "neurons": 9, "components": 2}

# A changed key, its value, and what the sentence must say.
MISTAKES = [
    ("sead", 3, ["unknown key 'sead'", "did you mean 'seed'?"]),
    ("generation__token", 3, ["generation", "unknown key 'token'", "did you mean 'tokens'?"]),
    ("data__challenge", {}, ["data", "unknown key 'challenge'"]),
    ("data__lexicon", {"kind": "file", "path": "a", "pth": 1},
     ["data.lexicon", "'pth'", "did you mean 'path'?"]),
    ("models__toy__dtpye", "x", ["models.toy", "'dtpye'", "did you mean 'dtype'?"]),
    ("models__toy__pre__width", "128", ["models.toy.pre.width", "'128' is of type str", "integer"]),
    ("seed", 1.5, ["seed", "1.5 is of type float", "integer"]),
    ("seed", True, ["seed", "True is of type bool", "integer"]),
    ("seed", None, ["seed", "None"]),
    ("seed", -1, ["seed", "-1 is less than the minimum of 0"]),
    ("generation__tokens", 0, ["generation.tokens", "0 is less than the minimum of 1"]),
    ("bootstrap__level", 1, ["bootstrap.level", "1"]),
    ("models__toy__dtype", "flot16", ["models.toy.dtype", "'flot16'", "did you mean 'float16'?"]),
    ("activations__positions", "generate", ["activations.positions", "mean 'generated'?"]),
    ("compute__device", "gpu", ["compute.device", "'gpu' is not one of auto, cpu, cuda"]),
    ("scorer__kind", "perspektive", ["scorer.kind", "'perspektive' is not one of lexicon"]),
    ("data__training_text__kind", "fiel", ["data.training_text.kind", "did you mean 'file'?"]),
    ("models__toy__post__kind", "dpoo", ["models.toy.post.kind", "did you mean 'dpo'?"]),
    ("study", "a b", ["study", "'a b' is not a name; use letters"]),
    ("study", "../elsewhere", ["study", "is not a name"]),
    ("models", {}, ["models"]),
    ("study", ..., ["the key 'study' is missing; add it"]),
    ("models__toy__post", ..., ["models.toy", "the key 'post' is missing; add it"]),
    ("models__toy__pre__steps", ..., ["models.toy.pre", "the key 'steps' is missing"]),
    ("figures__5a_top_toxic_shifts__last", ..., ["figures.5a_top_toxic_shifts", "'last' is miss"]),
    ("figures__5a_top_toxic_shifts", {"first": 9, "last": 3},
     ["figures.5a_top_toxic_shifts: the first rank, 9, is beyond the last, 3; give a range"]),
    ("data__training_text", ..., ["models.toy.pre is of kind train_from_scratch",
                                  "add training_text to data"]),
    ("data__preference_pairs", ..., ["models.toy.post is of kind dpo", "preference_pairs"]),
    ("models__toy__post", SFT, ["models.toy.post is of kind sft", "add demonstrations to data"]),
    ("data__labelled_comments", ...,
     ["directions.probe is of kind probe, which needs data.labelled_comments; add"]),
    ("data__challenge_prompts__prompt_words", 3, ["data.challenge_prompts", "'prompt_words'"]),
    ("data__challenge_prompts", FILE | {"prompt_words": 3},
     ["data.challenge_prompts: prompt_words is for reference_sentences alone; leave it out"]),
    ("data__challenge_prompts", {"kind": "file", "path": "nowhere/*.jsonl"},
     ["data.challenge_prompts.path: nowhere/*.jsonl does not exist; give a path that does"]),
    ("data__challenge_prompts", {"kind": "file", "path": "a**b"}, ["path: a**b does not exist"]),
    ("data__challenge_prompts", {"kind": "synthetic"},
     ["data.challenge_prompts: the key 'rows' is missing; add it"]),
    ("models__toy__post", {"kind": "directory", "path": "workflow_script*"},
     ["models.toy.post.path: workflow_script* does not exist"]),
    ("models__toy__pre", {"kind": "state_dict", "path": "Snakefile"},
     ["models.toy.pre: the key 'like' is missing; add it"]),
    ("models__toy__pre", {"kind": "state_dict", "path": "Snakefile", "like": "nowhere"},
     ["models.toy.pre.like: nowhere does not exist"]),
    ("models__toy__pre__width", 98, ["models.toy.pre.width: 98 is no multiple of 4, which 4 he"]),
    ("models__toy__pre", LLAMA | {"width": 12},
     ["models.toy.pre.width: 12 is no multiple of 8, which 4 heads of llama need"]),
    ("scorer", {"kind": "classifier", "path": "Snakefile"},
     ["scorer: 'label' is missing; add it, since it is known only for unitary/toxic-bert"]),
    ("scorer", {"kind": "classifier", "repository": "unitary/toxic-brt", "revision": "0" * 40},
     ["scorer: 'label' is missing", "did you mean 'unitary/toxic-bert'?"]),
    ("scorer", {"kind": "classifier", "repository": "a/b", "revision": "0" * 40, "label": "x"},
     ["scorer: 'activation' is missing"]),
    ("directions__s", SVD | {"from": "s"},
     ["directions.s.from: 's' is not one of the directions but SVDs (probe)"]),
    ("directions", {"probe": PROBE, "s": SVD, "t": SVD | {"from": "s"}},
     ["directions.t.from: 's' is not one of the directions but SVDs (probe)"]),
    ("directions", {"probe": SVD}, ["directions but SVDs (there are none); give one that is"]),
    ("directions__s", SVD | {"components": 10},
     ["directions.s.components: 9 value vectors (neurons) have no 10 components; ask for fewer"]),
    ("data__lexicon", ..., ["scorer is of kind lexicon", "add lexicon to data"]),
    ("direction", "prob", ["direction: 'prob'", "(probe, svd)", "did you mean 'probe'?"]),
    ("figures__1a_layer_projections__ablated", "ablate_top_66",
     ["figures.1a_layer_projections.ablated", "did you mean 'ablate_top_6'?"]),
    ("interventions__patch_x", {"kind": "patch", "groups": ["TP"]},
     ["interventions.patch_x.groups", "'TP' is not one of TP-, TN+", "'TP-'?"]),
    ("interventions__patch_x", {"kind": "patch", "groups": []}, ["interventions.patch_x.groups"]),
    ("interventions__patch_x", {"kind": "patch", "groups": ["TP-"], "direction": "svm"},
     ["interventions.patch_x.direction", "'svm' is not one of the directions (probe, svd)"]),
    ("interventions__patch_x", {"kind": "patch", "groups": ["TP-"], "dose": 0.5},
     ["interventions.patch_x.dose: a mean is assigned whole; for a part", "use kind shift"]),
    ("interventions__patch_x", {"kind": "patch", "top": 3, "values": "token", "random_sets": 9},
     ["interventions.patch_x.random_sets: not for values token; leave"]),
    ("interventions__shift_x", {"kind": "shift", "random_sets": 9},
     ["interventions.shift_x.random_sets: the row changes all neurons, so no other set"]),
    ("interventions__strip_x", {"kind": "strip", "random_sets": 9},
     ["interventions.strip_x.random_sets: the row changes all neurons"]),
    ("sampling__rows", ["nobody"], ["sampling.rows: 'nobody' is not one of the rows (none, dpo"]),
    ("interventions__ablate_x", {"kind": "ablate", "groups": ["TP-"], "by": "change"},
     ["interventions.ablate_x.by: ranks neurons for `top`, which is missing; add it"]),
    ("interventions__ablate_x", {"kind": "ablate", "top": 3, "by": "change",
                                 "activation": "positive"},
     ["interventions.ablate_x.activation: goes with by cosine alone"]),
    ("interventions__ablate_x", {"kind": "ablate", "file": "nowhere.csv"},
     ["interventions.ablate_x.file: nowhere.csv does not exist"]),
    ("interventions__ablate_x", {"kind": "ablate", "file": "a.csv", "top": 3},
     ["interventions.ablate_x"]),
    ("interventions__ablate_x", {"kind": "ablate", "top": 3, "activation": "negative"},
     ["interventions.ablate_x.activation", "positive"]),
    ("interventions__scale_keys_x", {"kind": "scale_keys", "top": 3},
     ["interventions.scale_keys_x", "'factor' is missing"]),
    ("interventions__top_3", {"kind": "ablate", "top": 3},
     ["interventions.top_3", "must begin with 'ablate_'"]),
    ("interventions__patch_3", {"kind": "ablate", "top": 3},
     ["interventions.patch_3", "must begin with 'ablate_'"]),
    ("interventions__none", {"kind": "ablate", "top": 3}, ["interventions.none", "'ablate_'"]),
    ("interventions__dpo", {"kind": "ablate", "top": 3}, ["interventions.dpo", "'ablate_'"]),
    ("interventions__control_x", {"kind": "control", "groups": ["TP-"]},
     ["interventions.control_x.kind", "'control' is not one of"]),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "words"), MISTAKES, ids=lambda part: str(part)[:40])
def test_a_mistake_is_a_sentence_naming_file_key_and_remedy(key, value, words, monkeypatch):
    monkeypatch.chdir(PROJECT)
    with pytest.raises(InputError) as caught:
        check_study(changed(**{key: value}), "my_study.yaml")
    sentence = str(caught.value)
    assert sentence.startswith("my_study.yaml: ")
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


def test_a_configuration_that_is_no_mapping_is_a_sentence():
    with pytest.raises(InputError, match="my_study"):
        check_study([], "my_study.yaml")


def test_the_embedded_study_is_accepted_as_it_stands():
    text = (Path(__file__).parents[2] / "config.yaml").read_text("utf-8")
    assert check_study(yaml.safe_load(text), "config.yaml").results == "results/toy"


def test_every_patch_has_a_control_of_the_same_neurons(study):
    rows = study.interventions
    assert list(rows)[:2] == ["none", "dpo"]
    patches = [name for name in rows if name.startswith("patch_")]
    assert len(patches) == 2
    for name in patches:
        control = rows[name.replace("patch_", "control_")]
        assert control == rows[name] | {"kind": "control", "control_of": name}
    assert len(rows) == 2 + len(EMBEDDED["interventions"]) + len(patches)


def test_a_patch_whose_name_repeats_the_prefix_has_its_own_control():
    row = {"kind": "patch", "groups": ["TP-"]}
    study = check_study(changed(interventions__patch_patch_x=row, interventions__patch_x=row), "s")
    assert {"control_patch_x", "control_x"} <= set(study.interventions)


@pytest.mark.parametrize(
    ("name", "stage"),
    [("none", "pre"), ("dpo", "post"), ("scale_keys_x2", "post"), ("ablate_top_6", "pre"),
     ("patch_tp", "pre"), ("control_tp", "pre")],
)  # fmt: skip
def test_only_key_scaling_and_dpo_run_on_the_second_checkpoint(study, name, stage):
    assert study.stage(name) == stage


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


def test_an_intervention_may_have_a_direction_of_its_own(tmp_path):
    path = tmp_path / "mine.safetensors"
    path.touch()
    row = {"kind": "ablate", "top": 2, "direction": "mine"}
    config = changed(interventions__ablate_x=row)
    config["directions"]["mine"] = {"kind": "file", "path": str(path)}
    study = check_study(config, "s")
    assert study.direction("ablate_x") == "mine"
    assert study.direction("ablate_top_6") == "probe"
    assert (
        plan_options(study, "ablate_x") == "--kind ablate --direction mine --top 2 --positions all"
    )


def test_entries_are_found_by_kind(study):
    assert study.models_with("pre", "train_from_scratch") == ["toy"]
    assert study.models_with("pre", "directory") == []
    assert study.names_with("data", "file") == []
    assert set(study.names_with("data", "synthetic")) == set(EMBEDDED["data"])
    assert study.results == "results/toy"


@given(st.lists(st.text("a.|+*()-_ 1", min_size=1)), st.text("a.|+*()-_ 1"))
def test_any_of_matches_the_names_and_nothing_else(names, other):
    pattern = re.compile(any_of(names))
    for name in [*names, other]:
        assert bool(pattern.fullmatch(name)) == (name in names)


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


def test_a_path_that_does_not_exist_is_named_with_its_key():
    config = changed()
    config["directions"]["mine"] = {"kind": "file", "path": "nowhere/mine.safetensors"}
    with pytest.raises(InputError) as caught:
        check_study(config, "s.yaml")
    assert str(caught.value).startswith(
        "s.yaml: directions.mine.path: nowhere/mine.safetensors does not exist"
    )


@pytest.fixture
def minimal(tmp_path, monkeypatch):
    """The nine lines of a user with two checkpoints and Jigsaw's file."""
    for name in ("before", "after", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "data" / "train.csv").touch()
    monkeypatch.chdir(tmp_path)
    return {
        "study": "mine",
        "data": {
            "labelled_comments": {
                "kind": "file", "path": "data/train.csv", "columns": {"text": "comment_text"},
            },
        },
        "models": {
            "m": {
                "pre": {"kind": "directory", "path": "before"},
                "post": {"kind": "directory", "path": "after"},
            },
        },
    }  # fmt: skip


def test_nine_lines_are_a_study_and_nothing_of_the_embedded_one_is_in_it(minimal):
    study = check_study(minimal, "my.yaml")
    assert set(study.config["data"]) == set(study.needed_data)
    assert set(study.on_hub) == {
        "data.challenge_prompts", "data.reference_sentences", "data.perplexity_text", "scorer",
    }  # fmt: skip
    assert study.config["scorer"]["repository"] == "unitary/toxic-bert"
    assert scorer_options(study) == "--scorer classifier --label toxic --activation sigmoid"
    assert {"ablate_top_1000", "patch_all_four", "control_all_four"} <= set(study.interventions)
    assert "synthetic" not in str(study.config)
    assert "toy" not in str(study.config)


def test_options_for_the_hub_pin_the_commit(minimal):
    study = check_study(minimal, "my.yaml")
    fetched = shlex.split(fetch_options(study, "data.challenge_prompts"))
    assert fetched[:2] == ["--repository", "allenai/real-toxicity-prompts"]
    assert fetched[-4:] == ["--type", "dataset", "--patterns", "prompts.jsonl"]
    assert re.fullmatch("[0-9a-f]{40}", fetched[fetched.index("--revision") + 1])
    assert shlex.split(fetch_options(study, "scorer"))[-2:] == ["--type", "model"]
    selection = shlex.split(selection_options(study, "challenge_prompts"))
    assert selection[:4] == ["--columns", "prompt=prompt.text", "--where", "challenging=true"]
    assert selection_options(study, "labelled_comments") == "--columns text=comment_text"


def test_a_pattern_may_match_several_files_of_data(minimal, tmp_path):
    for name in ("b.jsonl", "a.jsonl"):
        (tmp_path / "data" / name).touch()
    minimal["data"]["challenge_prompts"] = {"kind": "file", "path": "data/*.jsonl"}
    study = check_study(minimal, "my.yaml")
    assert study.data_paths("challenge_prompts") == ["data/a.jsonl", "data/b.jsonl"]


def test_what_is_not_read_need_not_be_there(minimal):
    minimal["directions"] = {"w": {"kind": "embedding", "words": ["a"], "neutral_words": ["b"]}}
    del minimal["data"]
    with pytest.raises(InputError, match="direction: 'probe' is not one of the directions"):
        check_study(copy.deepcopy(minimal), "my.yaml")
    study = check_study(minimal | {"direction": "w"}, "my.yaml")
    assert "labelled_comments" not in study.needed_data


def test_an_adapter_is_a_path_or_on_the_hub(minimal, tmp_path):
    minimal["models"]["m"]["post"] = {"kind": "adapter", "path": "after"}
    assert check_study(copy.deepcopy(minimal), "s").checkpoints_of_kind("adapter") == ["m/post"]
    pinned = {"kind": "adapter", "repository": "a/b", "revision": "0" * 40}
    minimal["models"]["m"]["post"] = pinned
    assert "models.m.post" in check_study(minimal, "s").on_hub


@pytest.mark.parametrize(
    ("rows", "said", "drawn"),
    [
        (None, None, "ablate_top_200"),
        (["patch_tp", "ablate_b", "ablate_a"], None, "ablate_b"),
        (["ablate_a", "ablate_top_200"], None, "ablate_top_200"),
        (["ablate_a", "patch_tp"], "patch_tp", "patch_tp"),
        (["patch_tp"], None, None),
        ([], None, None),
    ],
)
def test_figure_1a_draws_an_ablation_that_there_is(minimal, rows, said, drawn):
    kinds = {"patch": {"kind": "patch", "groups": ["TP-"]}, "ablate": {"kind": "ablate", "top": 3}}
    if rows is not None:
        minimal["interventions"] = {name: kinds[name.split("_")[0]] for name in rows}
    if said is not None:
        minimal["figures"] = {"1a_layer_projections": {"ablated": said}}
    assert check_study(minimal, "my.yaml").drawn_ablation == drawn


def test_a_label_to_probe_is_a_column_that_was_named(minimal):
    minimal["directions"] = {"rude": {"kind": "probe", "validation_share": 0.1, "label": "rude"}}
    minimal["direction"] = "rude"
    sentence = "directions.rude.label: 'rude' is no label of data.labelled_comments"
    with pytest.raises(InputError, match=sentence):
        check_study(copy.deepcopy(minimal), "my.yaml")
    minimal["data"]["labelled_comments"]["columns"]["rude"] = "is rude"
    study = check_study(minimal, "my.yaml")
    assert selection_options(study, "labelled_comments") == (
        "--columns text=comment_text 'rude=is rude'"
    )


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


SECRET = "s3cr3t-w0rd"


@pytest.mark.parametrize(
    "endpoint",
    [
        f"https://me:{SECRET}@host.org", f"https://{SECRET}@host.org", f"ftp://me:{SECRET}@host.org",
        f"me:{SECRET}@host.org", f"https://host.org/?key={SECRET}", f"https://host.org/#{SECRET}",
        f"https:/{SECRET}", f"{SECRET}", f"https://host.org:{SECRET}", f"https://h .org/{SECRET}",
        f"https://me:a/{SECRET}@host.org", f"http://[::1/{SECRET}", f"https://h/{SECRET}\n", "",
        f"https://{{{SECRET}}}.org", "https://host.org:0", "https://host.org:99999", "http://",
    ],
)  # fmt: skip
def test_an_endpoint_is_judged_first_and_never_quoted(endpoint, monkeypatch):
    monkeypatch.chdir(PROJECT)
    with pytest.raises(InputError) as caught:
        check_study(changed(scorer={"kind": "perspective", "endpoint": endpoint}), "my_study.yaml")
    sentence = str(caught.value)
    assert sentence.startswith("my_study.yaml: scorer.endpoint: ")
    assert SECRET not in sentence
    assert "host" not in sentence


@pytest.mark.parametrize(
    "endpoint", ["https://host.org", "http://127.0.0.1:8080/a/b/", "http://[::1]:80"]
)
def test_a_plain_endpoint_is_taken(endpoint, monkeypatch):
    monkeypatch.chdir(PROJECT)
    check_study(changed(scorer={"kind": "perspective", "endpoint": endpoint}), "my_study.yaml")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("models__toy__post", {"kind": "directory", "path": f"https://me:{SECRET}@host.org/x"}),
        ("models__toy__post", {"kind": "hub", "repository": f"https://me:{SECRET}@hf.co/a/b",
                               "revision": "0" * 40}),
        ("study", "hf_" + SECRET.replace("-", "") * 3),
        ("scorer", {"kind": "perspective", f"https://me:{SECRET}@host.org": 1}),
    ],
)  # fmt: skip
def test_a_secret_elsewhere_is_masked(key, value, monkeypatch):
    monkeypatch.chdir(PROJECT)
    with pytest.raises(InputError) as caught:
        check_study(changed(**{key: value, "seed": -1 if key == "study" else 1}), "my_study.yaml")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"kind": "edit", "alpha": [0.1, 0.10000001], "beta": 0.5}, "edit_x_a0.1_b0.5"),
        ({"kind": "edit", "alpha": 0.1, "beta": [0.5, 0.50000001]}, "edit_x_a0.1_b0.5"),
        ({"kind": "steer", "scale": [999999.8, 999999.9]}, "steer_x_x1e+06"),
        ({"kind": "scale_keys", "top": 3, "factor": [2, 2.0000001]}, "scale_keys_x_x2"),
    ],
)
def test_values_that_make_one_row_are_refused(row, name, monkeypatch):
    monkeypatch.chdir(PROJECT)
    with pytest.raises(InputError) as caught:
        check_study(changed(interventions={f"{row['kind']}_x": row}), "my_study.yaml")
    assert f"two of its values make the same row '{name}'" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("x" * 5000, "cannot be read (File name too long)"),
        ("config.yaml", "is a file, where a folder should be; give the folder"),
        ("rules/{a}", "holds a brace"),
        ("rules/x", "does not exist"),
    ],
)
def test_a_path_that_is_no_folder_is_named(path, words, monkeypatch):
    monkeypatch.chdir(PROJECT)
    with pytest.raises(InputError) as caught:
        check_study(changed(models__toy__post={"kind": "directory", "path": path}), "my_study.yaml")
    assert "my_study.yaml: models.toy.post.path: " in str(caught.value)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("key", ["data__challenge_prompts", "directions__given"])
def test_a_folder_where_a_file_should_be_is_named(key, monkeypatch):
    monkeypatch.chdir(PROJECT)
    with pytest.raises(InputError, match="is a folder, where a file should be; give the file"):
        check_study(changed(**{key: {"kind": "file", "path": "rules"}}), "my_study.yaml")
