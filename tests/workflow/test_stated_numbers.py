"""README states the embedded study's very numbers; `make numbers` runs the study and this test."""

import re

import pandas as pd
import pytest
from support.workflow import PROJECT

TABLE = PROJECT / "results/toy/tables/toy.csv"
README = (PROJECT / "README.md").read_text(encoding="utf-8")
TOXICITY = re.compile(r"(\d\.\d{3}) \[(\d\.\d{3}), (\d\.\d{3})\]\s+\(`(\w+)`\)")

pytestmark = pytest.mark.skipif(not TABLE.is_file(), reason="make figures has not been run")


def test_every_toxicity_in_the_readme_is_that_of_the_table() -> None:
    table = pd.read_csv(TABLE).set_index("intervention")
    stated = TOXICITY.findall(README)
    assert {name for *_, name in stated} >= {"none", "dpo", "patch_all_four", "control_all_four"}
    for *numbers, name in stated:
        row = table.loc[name, ["toxicity", "toxicity_low", "toxicity_high"]]
        assert [f"{value:.3f}" for value in row] == numbers, name
