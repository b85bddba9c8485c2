"""The page of a model: what stands on it, that texts stay texts, and that it works in a browser."""

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dpo_neurons.evaluation import model_page
from dpo_neurons.evaluation.findings import Finding
from dpo_neurons.evaluation.layer_map import map_layers
from dpo_neurons.evaluation.model_page import (
    draw_interval,
    interventions_for_reading,
    neurons_for_reading,
    render_page,
    texts_for_reading,
)
from dpo_neurons.evaluation.neuron_panel import panels_as_json
from dpo_neurons.neurons.groups import GROUPS
from dpo_neurons.neurons.largest_neurons import choose_largest

TEMPLATE = Path(model_page.__file__).with_suffix(".html")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
RUDE = "</script><script>document.title='taken over'</script><b>&amp;"
TABLE = pd.DataFrame(
    {
        "intervention": ["none", "dpo", "patch_<b>"], "control_of": "", "groups": ["", "", "TP-"],
        "neurons": [0, 0, 5], "toxicity": [0.5, 0.1, 0.0], "toxicity_low": [0.4, 0.05, 0.0],
        "toxicity_high": [0.6, 0.15, np.nan], "perplexity": [20.0, 21.0, 9e9],
        "perplexity_low": [19.0, 20.0, 8e9], "perplexity_high": [21.0, 22.0, 1e10],
        "tokens": 20.0, "effect_share": [0.0, 1.0, np.nan],
        "no_longer_writes": [False, False, True],
    }
)  # fmt: skip
VERDICTS = pd.DataFrame({"intervention": ["patch_<b>"], "verdict": ["no longer writes"]})
RANDOM_SETS = pd.DataFrame({"intervention": ["patch_<b>"], "p": [0.05]})


def contributions(n):
    numbers = np.linspace(5, -5, n)
    table = pd.DataFrame({"layer": 0, "neuron": range(n), "reduction": numbers})
    table["rank"] = range(1, n + 1)
    split = {"from_value": 0.1, "from_key": 0.2, "from_inputs": 0.3, "from_text": 0.4}
    return (
        table.assign(cosine=0.5, activation_pre=1.0, activation_post=0.5, group="TP-"),
        table[["layer", "neuron"]].assign(**split),
    )


def details(contributions, n_prompts=3):
    """What panels show of neurons, with other numbers for each."""
    largest = choose_largest(contributions)[["layer", "neuron", "group_rank", "group_neurons"]]
    random = np.random.default_rng(3)
    sampled, changed = range(min(n_prompts, 100)), range(min(n_prompts, 5))
    for name, prompts in (("sampled", sampled), ("changed", changed)):
        largest[f"{name}_prompts"] = [np.array(prompts)] * len(largest)
        for stage in ("pre", "post"):
            largest[f"{name}_{stage}"] = list(random.normal(size=(len(largest), len(prompts))))
    tokens = [f"' {RUDE}'", *(f"' token {number}'" for number in range(9))]
    return largest.assign(promoted=[tokens] * len(largest), suppressed=[tokens] * len(largest))


LAYER_GROUPS = pd.DataFrame(
    {"layer": np.repeat([0, 1], 8), "group": GROUPS * 2, "neurons": range(16),
     "reduction": 3.0, "crossfitted_reduction": [2.0, -1.0, *[0.0] * 14],
     "crossfitted_reduction_low": -4.0, "crossfitted_reduction_high": 4.0}
)  # fmt: skip


def page(n_neurons=40, n_prompts=3):
    table, split = contributions(n_neurons)
    largest = details(table, n_prompts)
    texts = {"none": [RUDE, "b"], "dpo": ["c", "d"]}
    scores = {"none": [1.0, 0.2], "dpo": [0.0, 0.2]}
    return render_page(
        TEMPLATE,
        "toy <1>",
        [Finding("What?", ("It <did>.",))],
        # As many rows as make a table worth a search.
        pd.concat([interventions_for_reading(TABLE, VERDICTS, RANDOM_SETS)] * 5),
        LAYER_GROUPS,
        neurons_for_reading(table, split, largest),
        pd.DataFrame({"what": ["data/x"], "origin": [RUDE]}),
        texts_for_reading(texts, scores, ["first", "second"], ["c"]),
        panels_as_json(largest, [f"prompt {n} {RUDE}" for n in range(n_prompts)]),
    )


def test_rows_have_their_numbers_and_broken_ones_are_marked():
    shown = interventions_for_reading(TABLE, VERDICTS, RANDOM_SETS)
    assert shown["intervention"].tolist() == [
        "none", "dpo", '<s class="broken">patch_&lt;b&gt;</s>'
    ]  # fmt: skip
    assert shown["share of dpo"].tolist() == ["0.00", "1.00", ""]
    assert shown["p among random sets"].tolist() == ["", "", "0.050"]
    assert shown["verdict"].tolist() == ["", "", "no longer writes"]


def test_a_control_stands_below_its_row_and_all_others_where_they_were():
    table = pd.concat([TABLE] * 2, ignore_index=True).assign(
        intervention=["of_b", "of_a", "b", "none", "a", "of_left_out"],
        control_of=["b", "a", "", "", "", "left out"],
        no_longer_writes=[False, True, False, False, False, False],
    )
    shown = interventions_for_reading(table, VERDICTS, RANDOM_SETS)
    assert shown["intervention"].tolist() == [
        "b", '<span class="control">of_b</span>', "none", "a",
        '<span class="control"><s class="broken">of_a</s></span>',
        '<span class="control">of_left_out</span>',
    ]  # fmt: skip


def test_a_broken_row_does_not_shorten_the_bars_of_others():
    _, after, broken = interventions_for_reading(TABLE, VERDICTS, RANDOM_SETS)[
        "perplexity interval"
    ]
    assert 'x2="124.0"' in after  # 22 is the most of the rows that write
    assert 'cx="124.0"' in broken
    assert "9000000000.00 [8000000000.00, 10000000000.00]" in broken


def test_an_interval_is_drawn_to_scale():
    drawn = draw_interval(0.3, 0.15, 0.45, 0.6, 3)
    assert 'x1="34.0" x2="94.0"' in drawn  # a margin of 4, then 120 pixels for 0 to 0.6
    assert 'cx="64.0"' in drawn
    assert "0.300 [0.150, 0.450]" in drawn


def test_sums_are_cross_fitted_and_shaded_by_size_and_sign():
    (last, _), (first, cells) = map_layers(LAYER_GROUPS)
    assert (last, first) == (1, 0)
    assert [cell.reduction for cell in cells[:3]] == ["2", "-1", "0"]
    assert [cell.neurons for cell in cells] == list(range(8))
    assert cells[0].shade == "rgba(0, 88, 143, 0.75)"
    assert cells[1].shade == "rgba(213, 94, 0, 0.375)"
    assert cells[0].detail == "cross-fitted 2 [-4, 4], published 3"


def test_activations_are_steps_between_the_least_and_the_largest():
    largest = details(contributions(1)[0], 2)
    largest["sampled_pre"] = [np.array([-1.0, 0.0])]
    largest["sampled_post"] = [np.array([0.5, 1.0])]
    largest["changed_prompts"] = [np.array([4, 1])]
    written = json.loads(panels_as_json(largest, [*"abcde"]))
    assert written["prompts"] == ["a", "b", "e"]
    assert written["sampled"] == [0, 1]
    (neuron,) = written["neurons"].values()
    assert neuron["range"] == [-1.0, 1.0]
    assert list(base64.b64decode(neuron["sampled"])) == [0, 128, 191, 255]
    assert [place for place, *_ in neuron["changed"]] == [2, 1]


def test_prompts_on_which_rows_differ_come_first_and_no_text_ends_the_script():
    texts = {"none": ["a", RUDE], "dpo": ["c", "d"]}
    written = texts_for_reading(
        texts, {"none": [0.1, 1.0], "dpo": [0.1, 0.0]}, ["p", "q"], ["c", "d"]
    )
    assert "<" not in written
    content = json.loads(written)
    assert content["prompts"] == ["q", "p"]
    assert content["rows"]["none"] == [[[RUDE], 1.0], [["a"], 0.1]]
    assert content["rows"]["dpo"] == [[["", "d", ""], 0.0], [["", "c", ""], 0.1]]


def test_the_page_asks_no_network_and_is_small():
    written = page(n_neurons=458_752, n_prompts=1000)
    assert len(written) < 5e6
    # What the libraries name in comments and namespaces is not fetched.
    assert not re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="https?:', written)
    assert "It &lt;did&gt;." in written
    assert "<title>toy &lt;1&gt;:" in written


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page in")
def test_a_browser_shows_sorts_searches_and_compares(tmp_path):
    # Acts as a reader would, then writes down what is shown.
    actions = """
    <script type="module">
    const facts = {};
    await new Promise((ready) => setTimeout(ready, 1500));
    const shown = (id) => [...document.querySelectorAll(`#${id} tbody tr`)]
      .map((row) => [...row.cells].map((cell) => cell.textContent));
    const wait = () => new Promise((ready) => setTimeout(ready, 300));
    facts.first = shown("neurons")[0][2];
    const head = document.querySelectorAll("#neurons_wrapper thead th")[4];
    head.querySelector(".dt-column-order").click();
    await wait();
    facts.sorted = shown("neurons")[0][2];
    const search = document.querySelector("#interventions_wrapper input[type=search]");
    search.value = "patch";
    search.dispatchEvent(new Event("input", { bubbles: true }));
    await wait();
    facts.searched = shown("interventions").map((row) => row[0]);
    const press = (row, key) => {
      row.focus();
      row.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    };
    const rowOf = (name) => [...document.querySelectorAll("#interventions tbody tr")]
      .find((row) => row.cells[0].textContent === name);
    search.value = "";
    search.dispatchEvent(new Event("input", { bubbles: true }));
    await wait();
    press(rowOf("none"), "Enter");
    facts.byKeyboard = document.getElementById("right-name").textContent;
    facts.current = rowOf("none").getAttribute("aria-current");
    press(rowOf("dpo"), "a");
    facts.afterOtherKey = document.getElementById("right-name").textContent;
    press(rowOf("dpo"), " ");
    const left = document.getElementById("left");
    left.value = "dpo";
    left.dispatchEvent(new Event("change"));
    facts.compared = [...document.querySelectorAll("#lines tr")].map((row) =>
      [...row.cells].map((cell) => cell.textContent));
    facts.marked = [...document.querySelectorAll("#lines mark")].map((mark) => mark.textContent);
    const panel = document.getElementById("panel");
    facts.hidden = panel.hidden;
    document.querySelectorAll("#neurons tbody tr")[1].cells[0].click();
    await wait();
    facts.clicked = panel.textContent;
    const neuron = document.querySelector("#neurons tbody tr");
    press(neuron, " ");
    await wait();
    facts.focused = document.activeElement === neuron;
    facts.chosen = document.querySelectorAll("#neurons tr.chosen").length;
    facts.panel = panel.textContent;
    facts.tokens = [...panel.querySelectorAll("code")].map((token) => token.textContent);
    facts.points = panel.querySelectorAll("circle").length;
    facts.bars = panel.querySelectorAll(".columns div:first-child rect").length;
    facts.changed = [...panel.querySelectorAll("tbody td:first-child")]
      .map((each) => each.textContent);
    facts.title = document.title;
    const said = document.createElement("pre");
    said.id = "said";
    said.textContent = JSON.stringify(facts);
    document.body.append(said);
    </script>"""
    opened = tmp_path / "page.html"
    opened.write_text(page().replace("</body>", f"{actions}</body>"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000"]
    command = [str(CHROMIUM), *options, "--enable-logging=stderr", "--dump-dom", opened.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="said">(.*?)</pre>', result.stdout, re.DOTALL)
    assert found, result.stderr[-2000:]
    facts = json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert (facts["first"], facts["sorted"]) == ("0", "39")
    assert facts["searched"] == ["patch_<b>"] * 5
    assert (facts["byKeyboard"], facts["current"]) == ("none", "true")
    assert facts["afterOtherKey"] == "none"
    assert facts["compared"][0] == ["first", "c 0", "c 0"]
    assert facts["marked"] == ["c", "c"]
    assert facts["hidden"]
    assert "Layer 0, neuron 38" in facts["clicked"]
    assert "Layer 0, neuron 39" in facts["panel"]
    assert facts["focused"]
    assert facts["chosen"] == 1
    assert "Group TP-: number 2 of 40" in facts["panel"]  # of two with a reduction of size 5
    assert "Rank among all neurons: 40." in facts["panel"]
    assert len(facts["tokens"]) == 20
    assert facts["tokens"][0] == f"' {RUDE}'"
    assert facts["changed"] == [f"prompt {n} {RUDE}" for n in range(3)]
    assert (facts["points"], facts["bars"]) == (3, 5)
    assert facts["title"] == "toy <1>: what fine-tuning did"
    assert "CONSOLE" not in result.stderr
