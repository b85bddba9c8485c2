"""Snakemake's commands on the workflow: plans, logs, graph, report, pasted commands."""

import base64
import json
import re
import runpy
import shlex
import sys
import zlib
from pathlib import Path

import pytest
from support.workflow import (
    CONFIG,
    FIGURES,
    PROGRAMS,
    PROJECT,
    RESULTS,
    copy_project,
    job_commands,
    run,
    run_warm,
    snakemake,
    stale_jobs,
)

pytest_plugins = ["support.finished_study"]


@pytest.fixture(scope="module")
def commands(finished_study: Path) -> dict[str, str]:
    """Every job's command line, as Snakemake prints it."""
    return job_commands(snakemake(finished_study, "figures", "-n", "-p", "--forceall").stdout)


def test_a_finished_study_has_nothing_to_be_done(finished_study: Path) -> None:
    assert stale_jobs(finished_study) == set()
    targets = ("tables", "activations", "contributions")
    assert stale_jobs(finished_study, targets=targets) == set()


def test_a_new_study_plans_every_job_on_eight_cores_without_a_warning(tmp_path, commands) -> None:
    copy_project(tmp_path / "study")
    result = snakemake(tmp_path / "study", "figures", "-n", "--cores", "8")
    assert result.returncode == 0, result.stdout
    assert set(job_commands(result.stdout)) == set(commands)
    assert not re.search("exception|traceback|warning", result.stdout, re.IGNORECASE)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["config.yaml", "README.md"])
def test_the_command_for_another_study_works_as_it_is_written(tmp_path: Path, where: str) -> None:
    text = (PROJECT / where).read_text(encoding="utf-8")
    found = re.search(r"snakemake [^`\n]*--configfile \S+[^`\n]*", text)
    assert found, f"{where} shows no command with --configfile"
    words = shlex.split(re.sub(r"(?<=--configfile )\S+", CONFIG, found[0]))
    copy_project(tmp_path / "study")
    result = run_warm([*words, "--dry-run"], tmp_path / "study")
    assert result.returncode == 0, result.stdout[-500:]
    assert f"{RESULTS}/figures/toy/6_tradeoff.svg" in result.stdout


@pytest.mark.slow
def test_the_embedded_study_is_planned_without_naming_its_file(tmp_path: Path) -> None:
    copy_project(tmp_path / "study")
    result = run_warm(["snakemake", "--dry-run"], tmp_path / "study")
    assert result.returncode == 0, result.stdout[-500:]
    assert "results/toy/figures/toy/6_tradeoff.svg" in result.stdout


def test_every_job_leaves_a_log_that_begins_with_its_command_and_a_benchmark(
    finished_study: Path, commands: dict[str, str]
) -> None:
    results = finished_study / RESULTS
    logs, benchmarks = set(), set()
    for command in commands.values():
        called, _, log = command.removeprefix("python ").partition(" 2> ")
        called = called.partition("/")[2].partition("/")[2]
        first_line = (finished_study / log).read_text(encoding="utf-8").partition("\n")[0]
        assert first_line.endswith(shlex.join(shlex.split(called)))
        logs.add(Path(log).relative_to(RESULTS / "logs").with_suffix(""))
    for path in (results / "benchmarks").rglob("*.tsv"):
        header, values = (line.split("\t") for line in path.read_text().splitlines())
        assert float(dict(zip(header, values, strict=True))["s"]) > 0
        benchmarks.add(path.relative_to(results / "benchmarks").with_suffix(""))
    assert len(logs) == len(commands)
    assert benchmarks == logs


def test_the_graph_of_the_jobs_is_drawn(finished_study: Path, commands: dict[str, str]) -> None:
    graph = snakemake(finished_study, "figures", "--dag").stdout
    labels = set(re.findall(r'label = "(\w+)', graph))
    assert "digraph" in graph
    assert labels == {"figures", *(job.partition(" ")[0] for job in commands)}


def test_the_report_holds_every_figure_and_the_table_with_captions(own_study: Path) -> None:
    result = snakemake(own_study, "--report", "report.html")
    assert result.returncode == 0, result.stdout
    report = (own_study / "report.html").read_text(encoding="utf-8")
    start = re.search(r'<script id="results">\s*var results = ', report)
    shown = json.JSONDecoder().raw_decode(report, start.end())[0]
    # A picture of each: their pages would carry a copy of Vega each.
    pages = {f"figures/toy/{figure}.svg" for figure in FIGURES}
    pages |= {
        "pages/toy.html",
        "tables/toy.html",
        "tables/toy.verdicts.html",
        "logit_lens/toy/probe.html",
        "sources.html",
    }
    pages |= {"tables/comparison.html", "figures/comparison/16_models.svg"}
    assert set(shown) == {f"{RESULTS}/{page}" for page in pages}
    # The bar for four models is 15 MB.
    assert len(zlib.compress(report.encode())) < 15e6 / 4
    for path, entry in shown.items():
        page = base64.b64decode(entry["data_uri"].partition(";base64,")[2])
        assert page == (own_study / path).read_bytes()
        assert len(entry["caption"]) > 100
        assert "{{" not in entry["caption"]


def test_a_printed_command_can_be_pasted_and_makes_the_same_file(
    own_study: Path, commands: dict[str, str]
) -> None:
    made = own_study / RESULTS / "contributions/toy/probe.parquet"
    before = made.read_bytes()
    made.unlink()
    result = run(["bash", "-c", commands["compute_contributions"]], own_study)
    assert result.returncode == 0, result.stdout
    assert made.read_bytes() == before


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_explains_itself(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = runpy.run_path(str(PROGRAMS[name]))
    monkeypatch.setattr(sys, "argv", [PROGRAMS[name].name, "--help"])
    with pytest.raises(SystemExit) as ended:
        module["main"]()
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert f"usage: {name}.py" in said
    assert module["__doc__"].partition("\n")[0] in " ".join(said.split())
