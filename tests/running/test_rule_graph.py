"""The picture of a study's jobs: stages, edges and places by hand; the picture in the docs."""

import json
import re
from itertools import pairwise

import pytest
from support.workflow import PROJECT

from dpo_neurons.errors import InputError
from dpo_neurons.running.rule_graph import (
    BOX_HEIGHT,
    ROW,
    STAGES,
    draw_rule_graph,
    place_boxes,
    read_rule_graph,
    read_stages,
)

RULES = '''"""Rules."""

rule make:
    shell:
        "python {resources.scripts}/study/make.py"


use rule make as make_other with:
    input: "a"


for shard in range(2):

    rule:
        name:
            name_of_shard("capture", shard)
        shell:
            "python {resources.scripts}/activations/capture.py"


rule figures:
    input: "b"
'''
HAND_MADE = dict.fromkeys("abc", "study") | dict.fromkeys("xy", "activations") | {"p": "neurons"}


def jobs_as_text(rules, edges):
    """What --d3dag prints of these rules' jobs; edges: pairs of places in the list."""
    nodes = [{"id": 7 * i, "value": {"rule": rule}} for i, rule in enumerate(rules)]
    return json.dumps({"nodes": nodes, "edges": [{"u": 7 * u, "v": 7 * v} for u, v in edges]})


def test_a_rules_stage_is_the_folder_of_its_program_or_of_the_rule_that_it_uses():
    stages = {"make": "study", "make_other": "study", "capture": "activations"}
    assert read_stages([RULES]) == stages


def test_jobs_are_counted_by_rule_and_shards_are_one_rule():
    text = jobs_as_text(["a", "a", "x_1_of_2", "x_2_of_2", "figures"], [(0, 2), (1, 3), (3, 4)])
    graph = read_rule_graph(text, HAND_MADE)
    assert dict(graph.jobs) == {"a": 2, "x": 2}
    assert graph.needs == {"a": set(), "x": {"a"}}


def test_an_edge_is_dropped_if_a_longer_path_says_it():
    text = jobs_as_text(["a", "b", "x", "y"], [(0, 1), (1, 2), (0, 2), (2, 3), (0, 3), (1, 3)])
    assert read_rule_graph(text, HAND_MADE).needs == {
        "a": set(), "b": {"a"}, "x": {"b"}, "y": {"x"}
    }  # fmt: skip


def test_a_circle_of_rules_over_two_stages_keeps_its_edge_up():
    # Job x of a plan p, which was made from another job of x.
    text = jobs_as_text(["x", "p", "x"], [(0, 1), (1, 2)])
    graph = read_rule_graph(text, HAND_MADE)
    assert graph.needs == {"x": {"p"}, "p": {"x"}}
    assert draw_rule_graph(graph, HAND_MADE).count("stroke-dasharray") == 1


def test_boxes_lie_below_what_they_need_and_do_not_touch():
    stages = read_stages(path.read_text() for path in (PROJECT / "rules").glob("*.smk"))
    # Every figure needs every table, and no figure another one.
    figures = [rule for rule, stage in stages.items() if stage == "figures"]
    tables = [rule for rule, stage in stages.items() if stage == "evaluation"]
    rules = [*tables, *figures]
    edges = [(t, f) for t in range(len(tables)) for f in range(len(tables), len(rules))]
    graph = read_rule_graph(jobs_as_text(rules, edges), stages)
    boxes = place_boxes(graph, stages)
    assert set(boxes) == set(rules)
    assert max(boxes[rule].row for rule in tables) < min(boxes[rule].row for rule in figures)
    for row in range(1 + max(box.row for box in boxes.values())):
        ends = sorted((b.left, b.left + b.width) for b in boxes.values() if b.row == row)
        assert all(end < left for (_, end), (left, _) in pairwise(ends))
    assert BOX_HEIGHT < ROW


def test_the_text_of_a_failed_call_is_no_graph():
    with pytest.raises(InputError, match="--d3dag"):
        read_rule_graph("", {})


def test_the_docs_show_rules_that_there_are():
    stages = read_stages(path.read_text() for path in (PROJECT / "rules").glob("*.smk"))
    assert set(stages.values()) == set(STAGES)
    picture = (PROJECT / "docs/images/dag.svg").read_text(encoding="utf-8")
    drawn = set(re.findall(r"<title>(\w+) needs", picture))
    assert "train_probe" in drawn
    assert drawn <= set(stages)
