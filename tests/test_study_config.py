"""The configuration: every kind of mistake is a sentence that names file, key and remedy."""

import copy
import re
import shlex
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dpo_neurons.errors import InputError
from dpo_neurons.study_config import Study, one_of, options

EMBEDDED = yaml.safe_load((Path(__file__).parents[1] / "config.yaml").read_text("utf-8"))
EMBEDDED["figures"]["1a_layer_projections"]["ablated"] = "ablate_top_6"
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
    return Study(copy.deepcopy(EMBEDDED), "config.yaml")


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
    ("study", "a b", ["study", "'a b' is no name"]),
    ("study", "../elsewhere", ["study", "is no name"]),
    ("models", {}, ["models"]),
    ("seed", ..., ["the key 'seed' is missing"]),
    ("data__perplexity_text", ..., ["data", "the key 'perplexity_text' is missing"]),
    ("models__toy__pre__steps", ..., ["models.toy.pre", "the key 'steps' is missing"]),
    ("figures__4_top_activations__top", ..., ["figures.4_top_activations", "'top' is missing"]),
    ("data__training_text", ..., ["models.toy.pre is of kind train_from_scratch",
                                  "add training_text to data"]),
    ("data__preference_pairs", ..., ["models.toy.post is of kind dpo", "preference_pairs"]),
    ("data__lexicon", ..., ["scorer is of kind lexicon", "add lexicon to data"]),
    ("direction", "prob", ["direction: 'prob'", "directions (probe)", "did you mean 'probe'?"]),
    ("figures__1a_layer_projections__ablated", "ablate_top_66",
     ["figures.1a_layer_projections.ablated", "did you mean 'ablate_top_6'?"]),
    ("interventions__patch_x", {"kind": "patch", "groups": ["TP"]},
     ["interventions.patch_x.groups", "'TP' is not one of the groups", "'TP-'?"]),
    ("interventions__patch_x", {"kind": "patch", "groups": []}, ["interventions.patch_x.groups"]),
    ("interventions__patch_x", {"kind": "patch", "groups": ["TP-"], "direction": "svd"},
     ["interventions.patch_x.direction", "'svd' is not one of the directions (probe)"]),
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
def test_a_mistake_is_a_sentence_naming_file_key_and_remedy(key, value, words):
    with pytest.raises(InputError) as caught:
        Study(changed(**{key: value}), "my_study.yaml")
    sentence = str(caught.value)
    assert sentence.startswith("my_study.yaml: ")
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


def test_a_configuration_that_is_no_mapping_is_a_sentence():
    with pytest.raises(InputError, match="my_study"):
        Study([], "my_study.yaml")


def test_the_embedded_study_is_accepted_as_it_stands():
    text = (Path(__file__).parents[1] / "config.yaml").read_text("utf-8")
    assert Study(yaml.safe_load(text), "config.yaml").results == "results/toy"


def test_every_patch_has_a_control_of_the_same_neurons(study):
    rows = study.interventions
    assert list(rows)[:2] == ["none", "dpo"]
    patches = [name for name in rows if name.startswith("patch_")]
    assert len(patches) == 2
    for name in patches:
        control = rows[name.replace("patch_", "control_")]
        assert control == rows[name] | {"kind": "control"}
    assert len(rows) == 2 + len(EMBEDDED["interventions"]) + len(patches)


def test_a_patch_whose_name_repeats_the_prefix_has_its_own_control():
    row = {"kind": "patch", "groups": ["TP-"]}
    study = Study(changed(interventions__patch_patch_x=row, interventions__patch_x=row), "s")
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
        ("dpo", "--kind none"),
        ("ablate_top_6", "--kind ablate --top 6"),
        ("ablate_positive", "--kind ablate --top 3 --only-positive"),
        ("scale_keys_x2", "--kind scale_keys --top 7 --factor 2"),
        ("patch_tp_an", "--kind patch --groups TP- AN-"),
        ("control_tp_an", "--kind control --groups TP- AN-"),
    ],
)
def test_plan_options_are_those_of_the_program(study, name, words):
    assert study.plan_options(name) == words


def test_an_intervention_may_have_a_direction_of_its_own(tmp_path):
    path = tmp_path / "mine.safetensors"
    path.touch()
    row = {"kind": "ablate", "top": 2, "direction": "mine"}
    config = changed(interventions__ablate_x=row)
    config["directions"]["mine"] = {"kind": "file", "path": str(path)}
    study = Study(config, "s")
    assert study.direction("ablate_x") == "mine"
    assert study.direction("ablate_top_6") == "probe"
    assert study.plan_options("ablate_x") == "--kind ablate --top 2"


def test_entries_are_found_by_kind(study):
    assert study.models_with("pre", "train_from_scratch") == ["toy"]
    assert study.models_with("pre", "directory") == []
    assert study.names_with("data", "file") == []
    assert set(study.names_with("data", "synthetic")) == set(EMBEDDED["data"])
    assert study.results == "results/toy"


@given(st.lists(st.text("a.|+*()-_ 1", min_size=1)), st.text("a.|+*()-_ 1"))
def test_one_of_matches_the_names_and_nothing_else(names, other):
    pattern = re.compile(one_of(names))
    for name in [*names, other]:
        assert bool(pattern.fullmatch(name)) == (name in names)


@given(st.dictionaries(st.sampled_from(["path", "top_n"]), st.text() | st.integers()))
def test_options_survive_the_shell(entry):
    words = shlex.split(options({"kind": "x", **entry}))
    assert words == [w for k, v in entry.items() for w in (f"--{k.replace('_', '-')}", str(v))]


def test_a_path_that_does_not_exist_is_named_with_its_key():
    config = changed()
    config["directions"]["mine"] = {"kind": "file", "path": "nowhere/mine.safetensors"}
    with pytest.raises(InputError) as caught:
        Study(config, "s.yaml")
    assert str(caught.value).startswith(
        "s.yaml: directions.mine.path: nowhere/mine.safetensors does not exist"
    )
