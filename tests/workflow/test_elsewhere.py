"""The workflow runs from another directory, in another directory and as another workflow's module.

Jobs that run here write the lexicon, which takes a second.
"""

import os
import re
import shutil
from pathlib import Path

import pytest
import yaml
from support.workflow import (
    CONFIG,
    PROJECT,
    RESULTS,
    copy_project,
    job_commands,
    run,
    run_warm,
    snakemake,
)

pytestmark = pytest.mark.slow

LEXICON = f"{RESULTS}/data/lexicon.jsonl"
MODULE = """
import yaml

module dpo:
    snakefile: {snakefile!r}
    config: yaml.safe_load(open({config!r}, encoding="utf-8"))
    {prefix}

use rule * from dpo as dpo_*
"""
"""Another workflow, which has the study's rules under other names."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project whose path has a space in it."""
    project = tmp_path_factory.mktemp("copy") / "my project"
    copy_project(project)
    return project


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Another directory, with a space in its path, that holds the study's configuration alone."""
    elsewhere = tmp_path / "some where"
    elsewhere.mkdir()
    shutil.copy2(PROJECT / CONFIG, elsewhere / "study.yaml")
    return elsewhere


def write_outer_workflow(directory: Path, project: Path, prefix: str = "") -> Path:
    """Write a workflow that imports the project's, every path under a prefix."""
    names = {"snakefile": str(project / "Snakefile"), "config": str(project / CONFIG)}
    text = MODULE.format(**names, prefix=f"prefix: {prefix!r}" if prefix else "")
    path = directory / "outer.smk"
    path.write_text(text, encoding="utf-8")
    return path


def planned_command(dry_run: str, program: str) -> str:
    """The first command of a program that a dry run prints."""
    return re.search(rf"^Shell command: (python .*{program}\.py .*)$", dry_run, re.MULTILINE)[1]


def test_the_whole_study_is_planned_with_the_snakefile_of_another_directory(project, elsewhere):
    options = ["figures", "--dry-run", "--snakefile", str(project / "Snakefile")]
    there = snakemake(elsewhere, *options, config="study.yaml")
    here = snakemake(project, "figures", "--dry-run")
    assert there.returncode == 0, there.stdout
    assert job_commands(there.stdout).keys() == job_commands(here.stdout).keys()
    assert f"{RESULTS}/figures/toy/9_prediction.svg" in there.stdout


def test_the_embedded_study_is_planned_from_another_directory_without_naming_a_file(
    project, elsewhere
):
    result = run_warm(
        ["snakemake", "--dry-run", "--snakefile", str(project / "Snakefile"), "--cores", "1"],
        elsewhere,
    )
    assert result.returncode == 0, result.stdout
    assert "results/toy/figures/toy/6_tradeoff.svg" in result.stdout


def test_results_lie_in_the_directory_that_is_named(project, elsewhere):
    options = ["--cores", "1", "--directory", str(elsewhere)]
    result = snakemake(project, LEXICON, *options, config=CONFIG)
    assert result.returncode == 0, result.stdout
    assert (elsewhere / LEXICON).is_file()
    assert not (project / LEXICON).exists()
    # The command for a report finds the study wherever it is pasted.
    command = result.stdout.partition("To see all on one page: ")[2].splitlines()[0]
    assert "--report report.zip" in command
    finished = command.replace("--report report.zip", f"{LEXICON} --dry-run")
    again = run(["bash", "-c", finished], elsewhere.parent)
    assert again.returncode == 0, again.stdout
    assert "Nothing to be done" in again.stdout


def test_a_pasted_command_makes_the_same_file_in_any_directory(project, elsewhere):
    options = ["--snakefile", str(project / "Snakefile"), "--cores", "1", "--printshellcmds"]
    result = snakemake(elsewhere, LEXICON, *options, config="study.yaml")
    assert result.returncode == 0, result.stdout
    made = (elsewhere / LEXICON).read_bytes()
    (elsewhere / LEXICON).unlink()
    command = planned_command(result.stdout, "write_synthetic_data")
    pasted = run(["bash", "-c", command], elsewhere, clean_environment())
    assert pasted.returncode == 0, pasted.stdout
    assert (elsewhere / LEXICON).read_bytes() == made


def clean_environment() -> dict[str, str]:
    """The environment of a shell in which only the project's environment is active."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def test_another_clone_of_the_workflow_makes_nothing_stale(project, elsewhere, tmp_path):
    def run_workflow(of: Path, *options: str) -> str:
        snakefile = ["--snakefile", str(of / "Snakefile")]
        result = snakemake(elsewhere, LEXICON, *snakefile, *options, config="study.yaml")
        assert result.returncode == 0, result.stdout
        return result.stdout

    run_workflow(project, "--cores", "1")
    copy_project(tmp_path / "clone")
    assert job_commands(run_workflow(tmp_path / "clone", "--dry-run")) == {}


@pytest.mark.parametrize("prefix", ["", "inner"])
def test_another_workflow_runs_the_study_as_its_module(project, elsewhere, prefix):
    outer = write_outer_workflow(elsewhere, project, prefix)
    lexicon = os.path.join(prefix, LEXICON)  # noqa: PTH118
    command = ["snakemake", "--snakefile", str(outer), "--cores", "1"]
    result = run_warm([*command, lexicon], elsewhere)
    assert result.returncode == 0, result.stdout
    assert "rule dpo_write_synthetic_data:" in result.stdout
    assert (elsewhere / lexicon).is_file()
    assert (elsewhere / prefix / RESULTS / "benchmarks/write_synthetic_data/lexicon.tsv").is_file()
    whole = run_warm([*command, "dpo_figures", "--dry-run", "--printshellcmds"], elsewhere)
    assert whole.returncode == 0, whole.stdout
    assert not re.search("warning|not present", whole.stdout, re.IGNORECASE)
    counted = dict(re.findall(r"^(\w+) +(\d+)$", whole.stdout, re.MULTILINE))
    assert {"dpo_capture_activations", "dpo_draw_prediction", "dpo_figures"} <= counted.keys()
    if prefix:
        assert not re.search(rf"(?<!inner/){RESULTS}/", whole.stdout)
    # The embedded study does not come along with the rules.
    assert "results/toy" not in whole.stdout


def test_a_workflow_may_take_one_rule_alone_and_change_it(project, elsewhere):
    outer = write_outer_workflow(elsewhere, project)
    text = outer.read_text(encoding="utf-8")
    changed = text.replace(
        "use rule * from dpo as dpo_*", "use rule train_dpo from dpo as mine with:"
    )
    outer.write_text(f"{changed.rstrip()}\n    threads: 3\n", encoding="utf-8")
    result = run_warm(["snakemake", "--snakefile", str(outer), "--list-rules"], elsewhere)
    assert result.returncode == 0, result.stdout
    assert re.findall(r"^\w+$", result.stdout, re.MULTILINE) == ["mine"]


def test_a_modules_mistake_is_a_sentence_that_names_the_key(project, elsewhere):
    config = yaml.safe_load((project / CONFIG).read_text(encoding="utf-8"))
    (elsewhere / "wrong.yaml").write_text(yaml.safe_dump(config | {"sead": 1}), encoding="utf-8")
    outer = write_outer_workflow(elsewhere, project)
    wrong = outer.read_text(encoding="utf-8").replace(str(project / CONFIG), "wrong.yaml")
    outer.write_text(wrong, encoding="utf-8")
    result = run_warm(["snakemake", "--snakefile", str(outer), "--dry-run"], elsewhere)
    assert result.returncode != 0
    said = r"^configuration: unknown key 'sead' .*did you mean 'seed'\?$"
    assert re.search(said, result.stdout, re.MULTILINE)
