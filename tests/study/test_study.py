"""A study as the rules read it: rows, entries, what it needs and what it may leave out."""

import copy
import re
import shlex
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.embedded_study import EMBEDDED, changed

from dpo_neurons.errors import InputError
from dpo_neurons.study.checks import check_study
from dpo_neurons.study.program_options import (
    fetch_options,
    plan_options,
    scorer_options,
    selection_options,
)
from dpo_neurons.study.study import any_of


@pytest.fixture(scope="module")
def study():
    return check_study(copy.deepcopy(EMBEDDED), "config.yaml")


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
     ("patch_tp", "pre")],
)  # fmt: skip
def test_only_key_scaling_and_dpo_run_on_the_second_checkpoint(study, name, stage):
    assert study.stage(name) == stage
    assert study.entry_of(name) == name


def test_an_intervention_may_have_a_direction_of_its_own(tmp_path):
    path = tmp_path / "mine.safetensors"
    path.touch()
    row = {"kind": "ablate", "top": 2, "direction": "mine"}
    config = changed(interventions__ablate_x=row)
    config["directions"]["mine"] = {"kind": "file", "path": str(path)}
    study = check_study(config, "s")
    assert study.direction("ablate_x") == "mine"
    assert study.direction("ablate_top_6") == "probe"
    assert '"kind": "ablate", "direction": "mine", "top": 2' in plan_options(study, "ablate_x")


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


@pytest.fixture
def minimal(tmp_path, monkeypatch):
    """The nine lines of a user with two checkpoints and Jigsaw's file."""
    for name in ("before", "after", "data"):
        (tmp_path / name).mkdir()
        for config in ("config.json", "adapter_config.json"):
            (tmp_path / name / config).touch()
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
    assert (
        scorer_options(study, "scorer") == "--scorer classifier --label toxic --activation sigmoid"
    )
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


def test_an_autoencoder_that_is_trained_here_needs_text(minimal):
    recipe = {"kind": "train", "texts": 9, "features": 8, "active": 2, "steps": 1}
    recipe |= {"states_per_step": 4, "learning_rate": 0.1}
    minimal["models"]["m"]["autoencoders"] = {"mine": recipe}
    with pytest.raises(InputError, match=r"models\.m\.autoencoders\.mine is of kind train, which"):
        check_study(minimal, "my.yaml")


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


@pytest.mark.parametrize(
    ("entry", "captured"),
    [
        ("none", {"none": "pre"}),
        ("dpo", {"dpo": "post"}),
        ("ablate", {"ablate_6": "ablate_6"}),
        ("patch_tp", {}),
    ],
)
def test_a_capture_holds_the_texts_of_both_models_and_of_the_drawn_ablation(entry, captured):
    ablated = "figures__1a_layer_projections__ablated"
    entries = {"interventions__ablate": {"kind": "ablate", "top": [3, 6]}, ablated: "ablate_6"}
    assert check_study(changed(**entries), "s").captured_row("toy", entry) == captured
    rounding = changed(**entries, models__toy__dtype="bfloat16")
    assert check_study(rounding, "s").captured_row("toy", entry) == {}


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
