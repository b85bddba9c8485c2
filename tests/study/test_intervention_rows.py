"""The rows of the configured interventions."""

import pytest

from dpo_neurons.study.intervention_rows import (
    METADATA,
    can_be_captured,
    describe_rows,
    donor_stage,
    is_random,
    needs_of_plan,
    plan_arguments,
    positions_in_perplexity,
    ranking_of,
    runs_with_direction,
    runs_with_shifts,
    source_stage,
    stage_of,
    table_rows,
)


def test_the_unpatched_rows_come_first_and_a_control_after_its_patch():
    rows = table_rows(
        {
            "ablate_top_3": {"kind": "ablate", "top": 3},
            "patch_tp": {"kind": "patch", "groups": ["TP-"]},
            "steer_last": {"kind": "steer", "layer": "last", "scale": 2},
        }
    )
    assert list(rows) == ["none", "dpo", "ablate_top_3", "patch_tp", "control_tp", "steer_last"]
    assert rows["control_tp"] == {
        "kind": "control", "groups": ["TP-"], "control_of": "patch_tp"
    }  # fmt: skip


def test_a_grid_of_alpha_and_beta_is_one_entry():
    grid = {"kind": "edit", "alpha": [0, 0.05], "beta": [0.5, 0.6], "form": "assign"}
    rows = table_rows({"edit_probe": grid})
    assert list(rows)[2:] == [
        "edit_probe_a0_b0.5",
        "edit_probe_a0_b0.6",
        "edit_probe_a0.05_b0.5",
        "edit_probe_a0.05_b0.6",
    ]
    assert rows["edit_probe_a0.05_b0.6"] == {**grid, "alpha": 0.05, "beta": 0.6}
    single = table_rows({"edit_one": {**grid, "alpha": 0.01, "beta": 0.5}})
    assert list(single)[2:] == ["edit_one"]


def test_a_list_in_one_key_names_both():
    rows = table_rows({"edit_x": {"kind": "edit", "alpha": [0.1, 1], "beta": 0.5, "form": "scale"}})
    assert list(rows)[2:] == ["edit_x_a0.1_b0.5", "edit_x_a1_b0.5"]


@pytest.mark.parametrize(("kind", "key"), [("steer", "scale"), ("scale_keys", "factor")])
def test_a_curve_is_one_entry(kind, key):
    rows = table_rows({f"{kind}_curve": {"kind": kind, key: [1, 2.5, 10]}})
    assert list(rows)[2:] == [f"{kind}_curve_x1", f"{kind}_curve_x2.5", f"{kind}_curve_x10"]
    assert [row[key] for row in list(rows.values())[2:]] == [1, 2.5, 10]


def test_every_combination_of_groups_is_one_entry():
    four = ["TP-", "AN-", "TN+", "AP+"]
    rows = table_rows({"patch_each": {"kind": "patch", "every_combination_of": four}})
    patches = {name: row for name, row in rows.items() if row["kind"] == "patch"}
    assert len(patches) == 15
    assert len(rows) == 2 + 2 * 15
    assert patches["patch_each_tp_an"]["groups"] == ["TP-", "AN-"]
    assert patches["patch_each_tp_an_tn_ap"]["groups"] == four
    assert rows["control_each_tn"]["control_of"] == "patch_each_tn"
    assert rows["control_each_tn"]["groups"] == ["TN+"]
    assert len({tuple(row["groups"]) for row in patches.values()}) == 15


def test_a_group_and_its_mirror_have_different_names():
    rows = table_rows({"patch_x": {"kind": "patch", "every_combination_of": ["TP-", "TP+"]}})
    assert [name for name, row in rows.items() if row["kind"] == "patch"] == [
        "patch_x_tpdown",
        "patch_x_tpup",
        "patch_x_tpdown_tpup",
    ]


def test_a_list_of_sets_makes_a_row_for_each():
    rows = table_rows(
        {
            "ablate_top": {"kind": "ablate", "top": [2, 30]},
            "patch": {"kind": "patch", "groups": [["TP-"], ["TP-", "AN-"]]},
            "shift_x": {"kind": "shift", "groups": [["TP-"], ["TP+", "AN-"]], "dose": [1, 2]},
            "transplant": {"kind": "transplant", "parts": [["mlp"], ["attention", "norms"]]},
        }
    )
    assert [name for name in rows if not name.startswith("control")] == [
        "none", "dpo", "ablate_top_2", "ablate_top_30", "patch_tp", "patch_tp_an",
        "shift_x_tpdown_d1", "shift_x_tpdown_d2", "shift_x_tpup_an_d1", "shift_x_tpup_an_d2",
        "transplant_mlp", "transplant_attention_norms",
    ]  # fmt: skip
    assert rows["ablate_top_30"] == {"kind": "ablate", "top": 30}
    assert rows["control_tp_an"]["groups"] == ["TP-", "AN-"]
    assert rows["shift_x_tpup_an_d2"] == {"kind": "shift", "groups": ["TP+", "AN-"], "dose": 2}
    assert rows["transplant_attention_norms"]["parts"] == ["attention", "norms"]


def test_prompt_specific_patches():
    rows = table_rows(
        {
            "patch_prompt": {"kind": "patch", "groups": ["TP-"], "values": "prompt"},
            "patch_token": {"kind": "patch", "groups": ["TP-"], "values": "token"},
            "patch_same": {"kind": "patch", "groups": ["TP-"], "values": "same_text"},
        }
    )
    # A model with its own activations at each token is the unchanged model.
    assert list(rows)[2:] == ["patch_prompt", "control_prompt", "patch_token", "patch_same"]
    assert source_stage(rows["patch_same"]) == "post"
    assert source_stage(rows["patch_prompt"]) == "post"
    assert source_stage(rows["control_prompt"]) == "pre"
    assert source_stage(rows["patch_token"]) == "post"
    assert source_stage({"kind": "patch", "groups": ["TP-"]}) is None


@pytest.mark.parametrize(
    ("row", "stage", "needed", "directed"),
    [
        ({"kind": "ablate", "top": 1}, "pre", "contributions", False),
        ({"kind": "scale_keys", "top": 1, "factor": 2}, "post", "contributions", False),
        ({"kind": "edit", "alpha": 0.1, "beta": 0.5, "form": "scale"}, "pre", "neurons", False),
        ({"kind": "edit", "alpha": 0.5, "groups": ["TP-"]}, "pre", "contributions", False),
        ({"kind": "steer", "layer": "last", "scale": 1}, "pre", "nothing", True),
        ({"kind": "strip", "share": 1}, "pre", "neurons", True),
        ({"kind": "strip", "share": 1, "groups": ["TP-"]}, "pre", "contributions", True),
    ],
    ids=lambda part: str(part)[:30],
)
def test_what_a_row_runs_on_and_needs(row, stage, needed, directed):
    assert stage_of("some_row", row) == stage
    assert needs_of_plan(row) == needed
    assert runs_with_direction(row) is directed


def test_each_dose_of_a_shift_has_a_control_with_permuted_shifts():
    shift = {"kind": "shift", "dose": [0.5, 1], "random_sets": 19}
    rows = table_rows({"shift_all": shift, "shift_tp": {"kind": "shift", "groups": ["TP-"]}})
    assert list(rows)[2:] == [
        "shift_all_d0.5", "control_shift_all_d0.5", "shift_all_d1", "control_shift_all_d1",
        "shift_tp", "control_shift_tp",
    ]  # fmt: skip
    assert rows["control_shift_all_d0.5"] == {
        "kind": "control", "control_of": "shift_all_d0.5", "dose": 0.5, "values": "permuted",
    }  # fmt: skip
    assert [name for name, row in rows.items() if is_random(row)] == [
        "control_shift_all_d0.5", "control_shift_all_d1", "control_shift_tp"
    ]  # fmt: skip
    assert all(source_stage(row) is None for row in rows.values())


def test_every_combination_of_groups_may_have_doses():
    entry = {"kind": "shift", "every_combination_of": ["TP-", "AN-"], "dose": [1, 2]}
    rows = table_rows({"shift_x": entry})
    assert [name for name in rows if name.startswith("shift")] == [
        "shift_x_tp_d1", "shift_x_tp_d2", "shift_x_an_d1", "shift_x_an_d2", "shift_x_tp_an_d1",
        "shift_x_tp_an_d2",
    ]  # fmt: skip


def test_what_activations_can_be_captured_under():
    patch = {"kind": "patch", "groups": ["TP-"]}
    rows = table_rows(
        {
            "ablate_a": {"kind": "ablate", "top": 3},
            "patch_a": patch,
            "patch_prompt": patch | {"values": "prompt"},
            "patch_token": patch | {"values": "token"},
            "edit_a": {"kind": "edit", "alpha": 0.1, "beta": 0.5},
            "steer_a": {"kind": "steer", "layer": "last", "scale": 2},
            "strip_a": {"kind": "strip"},
            "scale_keys_a": {"kind": "scale_keys", "top": 3, "factor": 2},
        }
    )
    found = [name for name, row in rows.items() if can_be_captured(name, row)]
    assert found == ["ablate_a", "patch_a", "control_a", "edit_a"]


def test_steering_along_the_shift_has_a_control_of_random_vectors():
    entry = {"kind": "steer", "along": "shift", "layer": "last", "scale": [0.5, 1]}
    along = {"kind": "steer", "along": "direction", "layer": "last", "scale": 2}
    rows = table_rows({"steer_shift": entry, "steer_last": along})
    assert list(rows)[2:] == [
        "steer_shift_x0.5", "control_steer_shift_x0.5",
        "steer_shift_x1", "control_steer_shift_x1", "steer_last",
    ]  # fmt: skip
    assert rows["control_steer_shift_x1"] == {
        "kind": "control", "control_of": "steer_shift_x1", "along": "random", "layer": "last",
        "scale": 1,
    }  # fmt: skip
    steered = {name: row for name, row in rows.items() if name not in ("none", "dpo")}
    assert [runs_with_shifts(row) for row in steered.values()] == [True] * 4 + [False]
    assert [runs_with_direction(row) for row in steered.values()] == [False] * 4 + [True]
    assert {needs_of_plan(row) for row in steered.values()} == {"nothing"}
    assert {positions_in_perplexity(row, "first") for row in steered.values()} == {"all"}
    assert not any(can_be_captured(name, row) for name, row in steered.items())


def test_a_transplant_takes_the_other_checkpoints_weights():
    rows = table_rows(
        {
            "transplant_mlp": {"kind": "transplant", "parts": ["mlp"], "rank": [1, 4]},
            "transplant_back": {"kind": "transplant", "layers": [0, 3], "into": "post"},
            "transplant_tp": {"kind": "transplant", "groups": ["TP-"], "dose": [0.5, 1]},
        }
    )
    assert {name: (stage_of(name, row), donor_stage(name, row)) for name, row in rows.items()} == {
        "none": ("pre", None), "dpo": ("post", None),
        "transplant_mlp_r1": ("pre", "post"), "transplant_mlp_r4": ("pre", "post"),
        "transplant_back": ("post", "pre"),
        "transplant_tp_d0.5": ("pre", "post"), "transplant_tp_d1": ("pre", "post"),
    }  # fmt: skip
    tables = [needs_of_plan(row) for row in rows.values()]
    assert tables == ["nothing"] * 5 + ["contributions"] * 2
    assert not any(can_be_captured(name, row) for name, row in rows.items())
    back = describe_rows({"transplant_back": rows["transplant_back"]}, "probe")[2]
    assert (back["layers"], back["parts"], back["into"]) == ("0 3", "", "post")


def test_the_unpatched_rows_run_on_their_checkpoints():
    rows = table_rows({})
    assert {name: stage_of(name, row) for name, row in rows.items()} == {
        "none": "pre",
        "dpo": "post",
    }


def test_the_plan_is_told_all_but_the_kind():
    row = {"kind": "steer", "direction": "svd", "positions": "all", "layer": "last", "scale": 2}
    assert plan_arguments(row) == {key: value for key, value in row.items() if key != "kind"}


def test_rows_say_what_ranks_their_neurons():
    rows = table_rows(
        {
            "damp_x": {"kind": "damp", "top": 9},
            "patch_x": {"kind": "patch", "top": 9, "by": "effect_size", "values": "mean"},
            "ablate_x": {"kind": "ablate", "top": 9, "by": "reduction"},
            "ablate_y": {"kind": "ablate", "file": "mine.csv"},
        }
    )
    assert {name: ranking_of(row) for name, row in rows.items()} == {
        "none": None, "dpo": None, "damp_x": "auroc", "control_damp_x": "auroc",
        "patch_x": "effect_size", "control_x": "effect_size", "ablate_x": None, "ablate_y": None,
    }  # fmt: skip
    assert plan_arguments(rows["damp_x"]) == {"top": 9, "by": "auroc"}
    assert plan_arguments(rows["control_damp_x"]) == {
        "control_of": "damp_x", "top": 9, "values": "permuted_damping", "by": "auroc"
    }  # fmt: skip
    assert plan_arguments(rows["ablate_y"]) == {}  # the file is an input


def test_every_row_is_described_by_columns():
    entries = {
        "patch_tp": {"kind": "patch", "groups": ["TP-", "AN-"], "values": "mean"},
        "edit_x": {"kind": "edit", "alpha": [0, 0.1], "beta": 0.5, "form": "assign"},
        "steer_last": {"kind": "steer", "layer": "last", "scale": 2, "direction": "svd"},
        "scale_keys_top": {"kind": "scale_keys", "top": 7, "factor": 5},
    }
    rows = describe_rows(entries, "probe")
    assert [list(row) for row in rows] == [list(METADATA)] * 8
    by_name = {row["intervention"]: {k: v for k, v in row.items() if v != ""} for row in rows}
    owners = [described.pop("entry") for described in by_name.values()]
    assert owners == [
        "none", "dpo", "patch_tp", "patch_tp", "edit_x", "edit_x", "steer_last", "scale_keys_top"
    ]  # fmt: skip
    assert list(by_name) == [
        "none", "dpo", "patch_tp", "control_tp", "edit_x_a0_b0.5", "edit_x_a0.1_b0.5",
        "steer_last", "scale_keys_top",
    ]  # fmt: skip
    assert by_name["none"] == {"intervention": "none", "kind": "none", "checkpoint": "pre"}
    assert by_name["dpo"] == {"intervention": "dpo", "kind": "dpo", "checkpoint": "post"}
    assert by_name["control_tp"] == {
        "intervention": "control_tp", "kind": "control", "control_of": "patch_tp",
        "checkpoint": "pre", "direction": "probe", "groups": "TP- AN-", "values": "mean",
    }  # fmt: skip
    assert by_name["edit_x_a0_b0.5"] == {
        "intervention": "edit_x_a0_b0.5", "kind": "edit", "checkpoint": "pre", "direction": "probe",
        "alpha": 0, "beta": 0.5, "form": "assign",
    }  # fmt: skip
    assert by_name["steer_last"]["direction"] == "svd"
    assert by_name["scale_keys_top"]["checkpoint"] == "post"


@pytest.mark.parametrize(("kind", "where"), [("patch", "first"), ("edit", "first"),
                                             ("ablate", "all"), ("steer", "all"),
                                             ("shift", "all")])  # fmt: skip
def test_published_perplexity_is_of_patched_and_edited_rows_alone(kind, where):
    assert positions_in_perplexity({"kind": kind}, "first") == where
