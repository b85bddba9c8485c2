"""A picture of a study's jobs: a box per rule, with the number of its jobs, in a band per stage.

`snakemake --forceall --d3dag -- figures` prints the jobs, which `main` reads from standard input.
"""

import html
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean

from dpo_neurons.errors import InputError

STAGES = {
    "study": "#6B6B6B",
    "checkpoints": "#A50026",
    "directions": "#C44100",
    "activations": "#B07A00",
    "neurons": "#1A7F5A",
    "interventions": "#00588F",
    "evaluation": "#5B3A8C",
    "figures": "#8A3B6B",
}
"""Stages in the order of the flow, with their colours."""
BLOCK = re.compile(r"^(?= *(?:use )?rule\b.*:$)", re.MULTILINE)
RULE = re.compile(r"(?:use rule (?P<base>\w+) as|rule) (?P<name>\w+)(?: with)?:\n")
SHARDED = re.compile(r" *rule:\n *name:\n *name_of_shard\(\"(?P<name>\w+)\"")
SHARD = re.compile(r"_\d+_of_\d+$")
PROGRAM = re.compile(r"python \{resources\.scripts\}/(\w+)/")

WIDTH, MARGIN, BAND = 1120, 12, 110
"""Pixels: of the picture, around it, and of a stage's name at the left."""
BOX_HEIGHT, ROW, CHARACTER, GAP = 26, 46, 6.2, 16
"""Pixels: a box's height, from row to row, a character's width, and least gap between boxes."""


@dataclass(frozen=True)
class RuleGraph:
    """The rules that a study's jobs are of."""

    jobs: Counter[str]
    """Number of jobs of each rule."""
    needs: dict[str, set[str]]
    """Rules whose files each rule reads, without those that other needed rules need anyway."""


@dataclass(frozen=True)
class Box:
    """A rule's box: its left end, width and row, counted from the top."""

    left: float
    width: float
    row: int

    @property
    def middle(self) -> float:
        """Return where edges begin and end."""
        return self.left + self.width / 2


def read_rule_graph(d3dag: str, stages: dict[str, str]) -> RuleGraph:
    """Read the rules of Snakemake's jobs, `--d3dag`; rules without a stage are left out.

    The rules of a capture's shards are one rule. An edge is dropped if a longer path down the
    stages joins the same two rules. Raises InputError if the text has no jobs.
    """
    try:
        held = json.loads(d3dag)
    except json.JSONDecodeError:
        raise InputError(
            "standard input: has no jobs; pipe in what snakemake --forceall --d3dag prints"
        ) from None
    rule_of = {node["id"]: SHARD.sub("", node["value"]["rule"]) for node in held["nodes"]}
    jobs = Counter(rule for rule in rule_of.values() if rule in stages)
    needs: dict[str, set[str]] = {rule: set() for rule in jobs}
    for edge in held["edges"]:
        needed, rule = rule_of[edge["u"]], rule_of[edge["v"]]
        if rule in needs and needed in needs and rule != needed:
            needs[rule].add(needed)

    # An edge from a later stage would close a circle: gather_activations has jobs of two stages.
    order = list(STAGES)
    down = {
        rule: {of for of in needed if order.index(stages[of]) <= order.index(stages[rule])}
        for rule, needed in needs.items()
    }

    @cache
    def all_needs(rule: str) -> frozenset[str]:
        return frozenset(down[rule]).union(*map(all_needs, down[rule]))

    return RuleGraph(
        jobs,
        {rule: of - set().union(*map(all_needs, of & down[rule])) for rule, of in needs.items()},
    )


def read_stages(rules: Iterable[str]) -> dict[str, str]:
    """Find the stage of each rule, the folder of its program, in the texts of the rules' files.

    A rule that uses another one has its stage. Rules without a program are left out.
    """
    stages: dict[str, str] = {}
    bases: dict[str, str] = {}
    for text in rules:
        for block in BLOCK.split(text):
            named, sharded = RULE.search(block), SHARDED.search(block)
            program = PROGRAM.search(block)
            if program and (match := sharded or named):
                stages[match["name"]] = program[1]
            elif named and named["base"]:
                bases[named["name"]] = named["base"]
    for rule in bases:
        base = rule
        while base in bases:
            base = bases[base]
        stages[rule] = stages[base]
    return stages


def place_boxes(graph: RuleGraph, stages: dict[str, str]) -> dict[str, Box]:
    """Place the rules in rows: below what they need, in the band of their stage."""
    boxes: dict[str, Box] = {}
    row = 0
    for stage in STAGES:
        members = {rule for rule in graph.jobs if stages[rule] == stage}
        while members:
            ready = [rule for rule in members if not graph.needs[rule] & members]
            # Below the middle of what they need; the name decides between equals.
            ready.sort(key=lambda rule: (_middle_of_needs(graph.needs[rule], boxes), rule))
            for rules in _cut_into_rows(ready, graph):
                boxes |= _place_row(rules, graph, row)
                row += 1
            members -= set(ready)
    return boxes


def _middle_of_needs(needs: set[str], boxes: dict[str, Box]) -> float:
    return mean([boxes[rule].middle for rule in needs if rule in boxes] or [WIDTH / 2])


def _width(rule: str, graph: RuleGraph) -> float:
    return CHARACTER * len(_label(rule, graph)) + 14


def _label(rule: str, graph: RuleGraph) -> str:
    return f"{rule} ×{graph.jobs[rule]}"


def _cut_into_rows(rules: list[str], graph: RuleGraph) -> list[list[str]]:
    """Cut rules into as few rows of about equal numbers as the width allows."""
    for per_row in range(len(rules), 0, -1):
        rows = [rules[start : start + per_row] for start in range(0, len(rules), per_row)]
        widest = max(sum(_width(rule, graph) + GAP for rule in row) for row in rows)
        if widest <= WIDTH - BAND - MARGIN:
            break
    return rows


def _place_row(rules: list[str], graph: RuleGraph, row: int) -> dict[str, Box]:
    """Spread boxes over the width, with equal gaps."""
    widths = [_width(rule, graph) for rule in rules]
    gap = (WIDTH - MARGIN - BAND - sum(widths)) / (len(rules) + 1)
    lefts = [BAND + gap * (i + 1) + sum(widths[:i]) for i in range(len(rules))]
    return {
        rule: Box(left, width, row) for rule, left, width in zip(rules, lefts, widths, strict=True)
    }


def draw_rule_graph(graph: RuleGraph, stages: dict[str, str]) -> str:
    """Draw the rules as SVG, edges in the colour of the stage that they come from.

    An edge that goes up is dashed. A box's tooltip names the rules that it needs.
    """
    boxes = place_boxes(graph, stages)
    n_rows = 1 + max((box.row for box in boxes.values()), default=0)
    gaps = [_gaps([box for box in boxes.values() if box.row == row]) for row in range(n_rows)]
    height = ROW * n_rows + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
        f' height="{height}" role="img" aria-label="{len(boxes)} rules and'
        f' {graph.jobs.total()} jobs, by stage" font-family="DejaVu Sans, sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for stage, colour in STAGES.items():
        rows = [box.row for rule, box in boxes.items() if stages[rule] == stage]
        if rows:
            n_jobs = sum(count for rule, count in graph.jobs.items() if stages[rule] == stage)
            parts += _band(stage, colour, min(rows), max(rows), n_jobs)
    for rule, box in boxes.items():
        for needed in sorted(graph.needs[rule]):
            upper, lower = sorted((boxes[needed], box), key=lambda end: end.row)
            dashes = "" if lower is box else ' stroke-dasharray="3 3"'
            parts.append(
                f'<path d="{_path(upper, lower, gaps)}" fill="none" stroke-opacity="0.45"'
                f' stroke="{STAGES[stages[needed]]}"{dashes}/>'
            )
    for rule, box in boxes.items():
        needs = ", ".join(sorted(graph.needs[rule])) or "nothing of other rules"
        parts.append(
            f"<g><title>{html.escape(rule)} needs {html.escape(needs)}</title>"
            f'<rect x="{box.left:.1f}" y="{_top(box)}" width="{box.width:.1f}"'
            f' height="{BOX_HEIGHT}" rx="5" fill="white" stroke="{STAGES[stages[rule]]}"/>'
            f'<text x="{box.middle:.1f}" y="{_top(box) + 17}" font-size="10"'
            f' text-anchor="middle">{html.escape(_label(rule, graph))}</text></g>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _top(box: Box) -> int:
    return MARGIN + ROW * box.row + (ROW - BOX_HEIGHT) // 2


def _band(stage: str, colour: str, first: int, last: int, n_jobs: int) -> list[str]:
    """Draw a stage's band, with its name and number of jobs at the left."""
    top, height = MARGIN + ROW * first, ROW * (last - first + 1)
    return [
        f'<rect x="{MARGIN}" y="{top + 2}" width="{WIDTH - 2 * MARGIN}" height="{height - 4}"'
        f' rx="6" fill="{colour}" fill-opacity="0.07"/>',
        f'<text x="{MARGIN + 8}" y="{top + height / 2}" font-size="12" fill="{colour}">{stage}'
        f'<tspan x="{MARGIN + 8}" dy="14" font-size="10">{n_jobs}'
        f" {'job' if n_jobs == 1 else 'jobs'}</tspan></text>",
    ]


def _gaps(row: list[Box]) -> list[float]:
    """Return the middles of the gaps between a row's boxes, and at its ends."""
    ordered = sorted(row, key=lambda box: box.left)
    rights = [float(BAND), *(box.left + box.width for box in ordered)]
    lefts = [*(box.left for box in ordered), float(WIDTH - MARGIN)]
    return [(right + left) / 2 for right, left in zip(rights, lefts, strict=True)]


def _path(upper: Box, lower: Box, gaps: list[list[float]]) -> str:
    """Join two boxes by a curve that passes other rows between their boxes."""
    x, y = upper.middle, _top(upper) + BOX_HEIGHT
    path = f"M{x:.1f},{y}"
    for row in range(upper.row + 1, lower.row + 1):
        share = (row - upper.row) / (lower.row - upper.row)
        straight = upper.middle + share * (lower.middle - upper.middle)
        is_last = row == lower.row
        to = lower.middle if is_last else min(gaps[row], key=lambda gap: abs(gap - straight))
        below = MARGIN + ROW * row + (ROW - BOX_HEIGHT) // 2
        path += f"C{x:.1f},{y + 10} {to:.1f},{below - 10} {to:.1f},{below}"
        y = below if is_last else below + BOX_HEIGHT
        path += "" if is_last else f"V{y}"
        x = to
    return path


def main() -> None:
    """Draw the jobs on standard input; the only argument is the folder of the rules' files."""
    files = sorted(Path(sys.argv[1]).glob("*.smk"))
    stages = read_stages(path.read_text(encoding="utf-8") for path in files)
    try:
        graph = read_rule_graph(sys.stdin.read(), stages)
    except InputError as error:
        raise SystemExit(str(error)) from None
    print(draw_rule_graph(graph, stages), end="")


if __name__ == "__main__":
    main()
