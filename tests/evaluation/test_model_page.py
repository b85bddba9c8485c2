"""The page of a model: what stands on it, that texts stay texts, and that it works in a browser."""

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
from dpo_neurons.evaluation.model_page import (
    choose_neurons,
    draw_interval,
    interventions_for_reading,
    render_page,
    texts_for_reading,
)

TEMPLATE = Path(model_page.__file__).with_suffix(".html")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
RUDE = "</script><script>document.title='taken over'</script><b>&amp;"
TABLE = pd.DataFrame(
    {
        "intervention": ["none", "dpo", "patch_<b>"], "control_of": "", "groups": ["", "", "TP-"],
        "neurons": [0, 0, 5], "toxicity": [0.5, 0.1, 0.0], "toxicity_low": [0.4, 0.05, 0.0],
        "toxicity_high": [0.6, 0.15, np.nan], "perplexity": [20.0, 21.0, 9e9],
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


def page(n_neurons=40):
    texts = {"none": [RUDE, "b"], "dpo": ["c", "d"]}
    scores = {"none": [1.0, 0.2], "dpo": [0.0, 0.2]}
    return render_page(
        TEMPLATE,
        "toy <1>",
        [Finding("What?", ("It <did>.",))],
        # As many rows as make a table worth a search.
        pd.concat([interventions_for_reading(TABLE, VERDICTS, RANDOM_SETS)] * 5),
        choose_neurons(*contributions(n_neurons)),
        pd.DataFrame({"what": ["data/x"], "origin": [RUDE]}),
        texts_for_reading(texts, scores, ["first", "second"]),
    )


def test_rows_have_their_numbers_and_broken_ones_are_marked():
    shown = interventions_for_reading(TABLE, VERDICTS, RANDOM_SETS)
    assert shown["intervention"].tolist() == [
        "none", "dpo", '<s class="broken">patch_&lt;b&gt;</s>'
    ]  # fmt: skip
    assert shown["share of dpo"].tolist() == ["0.00", "1.00", ""]
    assert shown["p among random sets"].tolist() == ["", "", "0.050"]
    assert shown["verdict"].tolist() == ["", "", "no longer writes"]


def test_an_interval_is_drawn_to_scale():
    drawn = draw_interval(0.3, 0.15, 0.45, 0.6)
    assert 'x1="34.0" x2="94.0"' in drawn  # a margin of 4, then 120 pixels for 0 to 0.6
    assert 'cx="64.0"' in drawn
    assert "0.300 [0.150, 0.450]" in drawn


def test_neurons_are_the_strongest_of_either_sign(monkeypatch):
    monkeypatch.setattr(model_page, "SHOWN_NEURONS", 2)
    assert choose_neurons(*contributions(7))["neuron"].tolist() == [0, 1, 5, 6]
    assert choose_neurons(*contributions(3))["neuron"].tolist() == [0, 1, 2]


def test_prompts_on_which_rows_differ_come_first_and_no_text_ends_the_script():
    texts = {"none": ["a", RUDE], "dpo": ["c", "d"]}
    written = texts_for_reading(texts, {"none": [0.1, 1.0], "dpo": [0.1, 0.0]}, ["p", "q"])
    assert "<" not in written
    content = json.loads(written)
    assert content["prompts"] == ["q", "p"]
    assert content["rows"]["none"] == [[RUDE, 1.0], ["a", 0.1]]


def test_the_page_asks_no_network_and_is_small():
    written = page(n_neurons=458_752)
    assert len(written) < 2e6
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
    const left = document.getElementById("left");
    left.value = "dpo";
    left.dispatchEvent(new Event("change"));
    facts.compared = [...document.querySelectorAll("#lines tr")].map((row) =>
      [...row.cells].map((cell) => cell.textContent));
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
    assert facts["compared"][0] == ["first", "c 0", "c 0"]
    assert facts["title"] == "toy <1>: what fine-tuning did"
    assert "CONSOLE" not in result.stderr
