"""Names that Snakemake, pandas or a file system would misread are refused; others are not."""

import copy
import io
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dpo_neurons.errors import InputError
from dpo_neurons.study.names import check_names
from dpo_neurons.study.study import Study

CONFIG = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text(encoding="utf-8"))


def check(section: str, *names: str) -> None:
    config = copy.deepcopy(CONFIG)
    config[section] = {name: {"kind": "ablate", "top": 3} for name in names}
    check_names(Study(config), "my.yaml")


@pytest.mark.parametrize("section", ["models", "directions"])
@pytest.mark.parametrize(
    "name", ["null", "NA", "nan", "NaN", "None", "NULL", "true", "TRUE", "inf"]
)
def test_a_name_that_pandas_reads_as_no_text_is_refused(section, name):
    with pytest.raises(InputError, match=f"^my.yaml: {section}: '{name}' is no name"):
        check(section, "toy", name)


@pytest.mark.parametrize(
    "names",
    [
        ("1.1", "1.10"), ("007", "7"), ("1e5", "100000"), ("Toy", "toy"), ("1.0", "1"),
        ("x", "y", "X"), ("1E3", "1e3"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("section", ["models", "directions"])
def test_two_names_that_are_read_as_one_are_refused(section, names):
    with pytest.raises(InputError, match="read them as one; rename one of them") as caught:
        check(section, *names)
    assert repr(names[0]) in str(caught.value)
    assert repr(names[-1]) in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "toy.correlations",
        "toy.tests",
        "x.source",
        "a.piece-1",
        "toy.Tests",
        "comparison",
        "Comparison",
    ],
)
def test_a_name_that_files_of_the_workflow_have_is_refused(name):
    with pytest.raises(InputError, match=f"'{name}'"):
        check("models", "toy", name)


@pytest.mark.parametrize(
    "names",
    [
        ("1.1", "1.2"),
        ("007",),
        ("1e5", "1e6"),
        ("toy", "toy.v2"),
        ("nano", "nullable"),
        ("7b", "7B.it"),
    ],
)
def test_other_names_are_taken(names):
    check("models", *names)


@given(
    st.lists(
        st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,5}", fullmatch=True), unique=True, min_size=1
    )
)
def test_names_that_are_taken_are_told_apart_by_pandas(names):
    try:
        check("models", *names)
    except InputError:
        return
    cells = pd.read_csv(io.StringIO("\n".join(["name", *names])))["name"]
    assert cells.notna().all()
    assert cells.nunique() == len(names)


def test_rows_that_differ_by_case_alone_and_long_rows_are_refused():
    with pytest.raises(InputError, match="'ablate_x' and 'ablate_X' are one but for case"):
        check("interventions", "ablate_x", "ablate_X")
    config = copy.deepcopy(CONFIG)
    config["interventions"] = {
        "edit_" + "x" * 160: {"kind": "edit", "alpha": [0.1, 0.2], "beta": 0.5, "form": "assign"}
    }
    with pytest.raises(InputError, match="has a name of 175 characters, of at most 160"):
        check_names(Study(config), "my.yaml")
