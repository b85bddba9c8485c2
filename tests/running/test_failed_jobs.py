"""What failed is named at the end of a run, as Snakemake itself reports it."""

import subprocess
import sys
from pathlib import Path

import pytest

from dpo_neurons.running.failed_jobs import describe_failed_jobs

SNAKEFILE = """
rule all:
    input: "a.txt", "b.txt", "c.txt", "d.txt"
rule told:
    output: "a.txt", "e.txt"
    log: "logs/a.log"
    shell: "printf 'reading\\nError: data/x.csv: is empty; fetch it again\\n\\n' > {log}; exit 1"
rule killed:
    output: "b.txt"
    log: "logs/b.log"
    shell: "echo reading > {log}; kill -9 $$"
rule silent:
    output: "c.txt"
    shell: "exit 3"
rule fine:
    output: "d.txt"
    shell: "touch {output}"
"""


@pytest.fixture
def run(tmp_path) -> list[Path]:
    """Snakemake's logs of a run in which three of four jobs failed."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--keep-going"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert result.returncode == 1
    return list((tmp_path / ".snakemake/log").glob("*.log"))


def test_each_failed_job_is_a_line_with_its_cause(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sorted(describe_failed_jobs(run)) == [
        "killed (b.txt): ended by SIGKILL (a full memory does that)",
        "silent (c.txt): left no log; see above",
        "told (a.txt): Error: data/x.csv: is empty; fetch it again [logs/a.log]",
    ]


def test_a_run_without_failures_has_none(tmp_path):
    (tmp_path / "snakemake.log").write_text("Building DAG of jobs...\nNothing to be done\n")
    assert describe_failed_jobs([tmp_path / "snakemake.log"]) == []
