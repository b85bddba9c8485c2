"""Published numbers: shipped as the papers have them, and put beside the right rows."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from dpo_neurons.evaluation.published import (
    COLUMNS,
    GROUP_COLUMNS,
    MEASURES,
    PUBLISHED_COLUMNS,
    format_published,
    published_table,
)
from dpo_neurons.files.table_page import to_markdown
from dpo_neurons.files.tables import read_csv
from dpo_neurons.neurons.groups import REDUCING
from dpo_neurons.statistics.bootstrap import ENDS
from dpo_neurons.study.intervention_rows import METADATA, describe_rows

PROJECT = Path(__file__).parents[2]
FILE = PROJECT / "workflow_scripts/dpo_neurons/evaluation/published_numbers.csv"
TEXTS = ("set", "quantity", "of", "kind", "activation", "groups", "mistakes")
V3 = ("v3-gpt2-medium", "v3-llama-3.1-8b", "v3-gemma-2-2b", "v3-mistral-7b")


@pytest.fixture(scope="module")
def numbers():
    return read_csv(FILE, PUBLISHED_COLUMNS, texts=TEXTS)


def documented(row: str) -> list[list[float]]:
    """The numbers of a row of v3's table in docs/reproducing.md, model by model."""
    text = (PROJECT / "docs/reproducing.md").read_text(encoding="utf-8")
    (cells,) = re.findall(rf"^\| {re.escape(row)} \|(.*)\|$", text, re.MULTILINE)
    return [
        [float(number.replace(",", "")) for number in cell.split("/")] for cell in cells.split("|")
    ]


def of_v3(numbers, quantity):
    """A quantity of the four models: a list each."""
    chosen = numbers[numbers["quantity"] == quantity]
    return [chosen.loc[chosen["set"] == name, "value"].tolist() for name in V3]


def test_v3_is_the_table_of_the_docs(numbers):
    assert of_v3(numbers, "neurons") == documented("neurons")
    sums = documented("sum of positive reductions / net")
    assert of_v3(numbers, "positive_reduction") == [[positive] for positive, _ in sums]
    assert of_v3(numbers, "net_reduction") == [[net] for _, net in sums]
    shares = np.array(of_v3(numbers, "group_share")) * 100
    np.testing.assert_allclose(shares, documented("share TP- / TN+ / AP+ / AN-, %"))
    assert of_v3(numbers, "group_neurons") == documented("counts TP- / TN+ / AP+ / AN-")
    for quantity, row in (("reducing", "neurons reducing, %"), ("active", "m_pre > 0, %")):
        np.testing.assert_allclose(np.array(of_v3(numbers, quantity)) * 100, documented(row))
    of_groups = numbers[numbers["quantity"].str.startswith("group_")]
    assert (of_groups.groupby(["set", "quantity"])["of"].agg(list).map(tuple) == REDUCING).all()


def test_v1_is_consistent_with_itself_and_with_the_docs(numbers):
    v1 = numbers[numbers["set"] == "v1"]
    reductions = v1.loc[v1["quantity"] == "group_reduction", "value"].tolist()
    # The four groups make nearly all of the positive reductions; TP- makes 31.8 % of theirs.
    assert sum(reductions) == pytest.approx(47.96, rel=0.011)
    assert reductions[0] / sum(reductions) == pytest.approx(0.318, abs=5e-4)
    text = (PROJECT / "docs/reproducing.md").read_text(encoding="utf-8")
    counts = v1.loc[v1["quantity"] == "group_neurons", "value"].astype(int).tolist()
    assert ", ".join(f"{value:.2f}" for value in reductions) in text
    assert ", ".join(map(str, counts)) in text
    # 58.49 % of the neurons reduce; the four groups have nearly as many.
    assert sum(counts) / 98_304 == pytest.approx(0.5849, abs=0.09)


def test_every_published_row_is_a_row_of_the_study_of_v1(numbers):
    config = yaml.safe_load((PROJECT / "config/gpt2-medium.yaml").read_text(encoding="utf-8"))
    rows = pd.DataFrame(describe_rows(config["interventions"], "probe"), columns=list(METADATA))
    for key in ("top", "factor"):
        rows[key] = pd.to_numeric(rows[key])
    for number, measure in enumerate(MEASURES):
        rows[[f"{measure}{end}" for end in ENDS]] = number
    v1 = numbers[(numbers["set"] == "v1") & numbers["quantity"].isin(MEASURES)]
    no_totals = pd.DataFrame(columns=["quantity", "value", "low", "high"])
    compared = published_table(
        v1, rows, no_totals, pd.DataFrame(columns=list(GROUP_COLUMNS)), "probe"
    )
    named = compared.drop_duplicates("intervention")["intervention"].tolist()
    assert named == [
        "none", "dpo", "ablate_top_100", "ablate_top_200", "ablate_top_1000",
        "ablate_positive_top_100", "ablate_positive_top_200", "ablate_positive_top_1000",
        "ablate_positive_top_2000", "patch_tp", "patch_tn", "patch_an", "patch_ap", "patch_tp_an",
        "patch_tp_an_tn", "patch_all_four", "scale_keys_x2", "scale_keys_x5", "scale_keys_x10",
    ]  # fmt: skip
    assert compared["measured"].tolist() == [0.0, 1.0, 2.0] * len(named)


def test_the_mistakes_are_rows_of_the_docs(numbers):
    text = (PROJECT / "docs/differences.md").read_text(encoding="utf-8")
    known = {int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    named = {int(number) for cell in numbers["mistakes"] for number in cell.split()}
    assert named
    assert named <= known


@pytest.fixture
def table(numbers):
    """The published table of a small study: two rows, totals, and one group."""
    rows = pd.DataFrame(
        [("none", "none", ""), ("other", "patch", "TN+ TP-"), ("mine", "patch", "TP-")],
        columns=["intervention", "kind", "groups"],
    ).assign(top=np.nan, factor=np.nan, by="", file="", activation="")
    rows["values"] = ["", "mean", "mean"]
    rows["direction"] = ["", "probe", "probe"]
    live = rows.iloc[[2]].assign(intervention="live", values="same_text")
    elsewhere = rows.iloc[[2]].assign(intervention="elsewhere", direction="words")
    rows = pd.concat([live, elsewhere, rows], ignore_index=True)
    for measure in MEASURES:
        rows[measure] = [9.0, 9.0, 0.5, 0.4, 0.25]
        rows[f"{measure}_low"], rows[f"{measure}_high"] = rows[measure] - 0.125, rows[measure] + 1
    totals = pd.DataFrame({"quantity": ["net_reduction"], "value": 7.0, "low": 6.5, "high": 8.0})
    groups = pd.DataFrame(5.0, index=[0], columns=list(GROUP_COLUMNS)).assign(group="TP-")
    return published_table(numbers[numbers["set"] == "v1"], rows, totals, groups, "probe")


def test_numbers_stand_beside_the_row_that_is_alike(table):
    assert tuple(table.columns) == COLUMNS
    toxicity = table[table["quantity"] == "toxicity"].set_index("intervention")
    assert toxicity.loc["none", "difference"] == pytest.approx(0.5 - 0.453)
    # Patching by activations on the same text, or along another direction, is another experiment.
    assert toxicity.loc["mine", ["published", "measured"]].tolist() == [0.335, 0.25]
    assert set(toxicity.index) == {"none", "mine", ""}
    assert toxicity.loc[[""], "measured"].isna().all()
    by_quantity = table.set_index(["quantity", "of"])
    assert by_quantity.loc[("net_reduction", ""), ["measured_low", "measured_high"]].tolist() == [
        6.5, 8.0,
    ]  # fmt: skip
    assert by_quantity.loc[("group_reduction", "TP-"), "difference"] == pytest.approx(5 - 15.11)
    assert np.isnan(by_quantity.loc[("group_reduction", "TN+"), "measured"])


def test_the_readable_table_says_what_a_study_lacks_and_why_numbers_differ(table):
    shown = format_published(table)
    lines = to_markdown(shown).splitlines()
    assert "| net_reduction |  |  | 7.22 | 7 [6.5, 8] | -0.22 | 2 11 12 |" in lines
    assert any("not in this study" in line for line in lines)
    assert not any("nan" in line for line in lines)
