"""For end-to-end tests: the project's files, Snakemake, dry runs, programs."""

import copy
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from support.warm_python import warm_commands

BIN = Path(sys.executable).parent
SNAKEMAKE = BIN / "snakemake"
PROJECT = Path(__file__).parents[2]
CONFIG = "tests/micro.yaml"
STAND_INS = (
    "stand_ins/words.csv", "stand_ins/classifier/config.json", "stand_ins/another/config.json",
)  # fmt: skip
"""Empty files that a configuration may name where no job reads them."""
RESULTS = Path("results/micro")
PARTS = ("Snakefile", "config.yaml", "environment.yml", "profiles", "report", "rules", "schemas")
PROGRAMS = {
    path.stem: path
    for path in sorted((PROJECT / "workflow_scripts").glob("*/*.py"))
    if path.parent.name != "dpo_neurons"
}
"""Path of each program, by name."""

STAGES = ("pre", "post")
DATASETS = (
    "training_text",
    "preference_pairs",
    "labelled_comments",
    "challenge_prompts",
    "reference_sentences",
    "perplexity_text",
    "lexicon",
)
CHANGED = (
    "ablate_top_6",
    "ablate_positive_top_3",
    "patch_tp",
    "control_tp",
    "patch_all_four",
    "control_all_four",
    "scale_keys_x2",
    "patch_token_tp",
    "patch_same_text_tp",
    "shift_all",
    "control_shift_all",
    "damp_experts",
    "control_damp_experts",
    "ablate_changed",
)
"""Rows of the micro study whose neurons depend on fine-tuning."""
BY_ONE_MODEL = ("edit_assign", "strip_all")
"""Rows whose neurons depend only on the first model."""
INTERVENTIONS = ("none", "dpo", *CHANGED, "edit_assign", "steer_last", "strip_all")
"""All rows in order; steering depends only on the direction."""
ENTRIES = tuple(name for name in INTERVENTIONS if not name.startswith("control_"))
"""What a job runs: each entry of the micro study is one row, and its control if it has one."""
ITS_ONLY = (("model", "toy"), ("direction", "probe"))
FIGURES = (
    "1a_layer_projections",
    "1b_cumulative_reduction",
    "2a_group_shares",
    "2b_rank_composition",
    "2c_projection_shifts",
    "3_layer_reduction",
    "4_top_activations",
    "5a_top_toxic_shifts",
    "5b_later_toxic_shifts",
    "6_tradeoff",
    "7_cancellation",
    "8_net_curve",
    "9_prediction",
    "10_activation_changes",
    "11_edit_grid",
    "12_key_scaling",
    "13_reduction_sources",
    "14_residual_shift",
    "15_value_changes",
    "18_rewards",
    "19_weight_changes",
    "20_stream_split",
    "23_activations",
    "24_samples",
    "25_activation_regions",
)


def copy_project(to: Path) -> None:
    """Copy what a run needs, tests/micro.yaml as its study, and STAND_INS."""
    for part in (*PARTS, "workflow_scripts"):
        if (PROJECT / part).is_dir():
            shutil.copytree(
                PROJECT / part, to / part, ignore=shutil.ignore_patterns("__pycache__", ".*")
            )
        else:
            to.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / part, to / part)
    (to / "tests").mkdir()
    shutil.copy2(PROJECT / CONFIG, to / CONFIG)
    for name in STAND_INS:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        (to / name).touch()


def changed_config(path: Path, *changes: tuple[str, Any]) -> Path:
    """Write the micro study's configuration with some keys, a.b.c, set to other values."""
    config = yaml.safe_load((PROJECT / CONFIG).read_text(encoding="utf-8"))
    for key, value in changes:
        *sections, last = key.split(".")
        section = config
        for name in sections:
            section = section[name]
        section[last] = copy.deepcopy(value)
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def run(
    command: list[str], directory: Path, environment: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[str]:
    """Run a command with this Python first on the path; its errors go with its output."""
    return _run(command, directory, environment, BIN)


def run_warm(
    command: list[str], directory: Path, environment: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[str]:
    """Run a command as `run` does, with the quick `python` and `snakemake` of warm_python.py."""
    return _run(command, directory, environment, warm_commands(), BIN)


def _run(
    command: list[str], directory: Path, environment: Mapping[str, str], *path: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=directory,
        env={**environment, "PATH": os.pathsep.join([*map(str, path), os.environ["PATH"]])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def program(
    name: str, arguments: str, directory: Path = PROJECT
) -> subprocess.CompletedProcess[str]:
    """Run a program of the project in that directory."""
    return run_warm(["python", str(PROGRAMS[name]), *shlex.split(arguments)], directory)


def snakemake(
    directory: Path,
    *arguments: str,
    config: Path | str = CONFIG,
    environment: Mapping[str, str] = os.environ,
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake on the micro study, or on another configuration file."""
    command = ["snakemake", *arguments, "--configfile", str(config)]
    return run_warm(command, directory, environment)


def assert_told(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    """The sentence stands on one line, and no traceback anywhere."""
    assert result.returncode != 0, result.stdout
    lines = result.stdout.splitlines()
    assert any(all(part in line for part in parts) for line in lines), result.stdout
    assert "Traceback" not in result.stdout, result.stdout


def stale_jobs(
    directory: Path, config: Path | str = CONFIG, targets: tuple[str, ...] = ("figures",)
) -> set[str]:
    """The jobs that a dry run would run, the target rule left out.

    A job is its rule and what it runs on, as in "write_plans patch_tp"; the micro study's one model
    and one direction are left out.
    """
    result = snakemake(directory, *targets, "--dry-run", config=config)
    assert result.returncode == 0, result.stdout
    jobs = set(job_commands(result.stdout))
    counted = dict(re.findall(r"^(\w+) +(\d+)$", result.stdout, re.MULTILINE))
    total = int(counted.get("total", 0)) - int(counted.get("figures", 0))
    assert len(jobs) == total, result.stdout
    return jobs


def job_commands(dry_run: str) -> dict[str, str]:
    """The jobs that a dry run tells of, each with its shell command where that is printed."""
    commands = {}
    for block in re.split(r"^(?=(?:local)?rule \w+:$)|^Job stats:$|^\[", dry_run, flags=re.M):
        rule = re.match(r"(?:local)?rule (\w+):\n", block)
        if rule and rule[1] != "figures":
            command = re.search(
                r"^(?:Shell command:)? *(python workflow_scripts.*)$", block, re.MULTILINE
            )
            commands[_job(rule[1], block)] = command[1] if command else ""
    return commands


def _job(rule: str, block: str) -> str:
    listed = re.search(r"^    wildcards: (.*)$", block, re.MULTILINE)
    pairs = [pair.split("=") for pair in listed[1].split(", ")] if listed else []
    return " ".join([rule, *(value for name, value in pairs if (name, value) not in ITS_ONLY)])


def each(rules: str, names: Iterable[str]) -> set[str]:
    """The jobs of some rules, one for each name."""
    return {f"{rule} {name}" for rule in rules.split() for name in names}
