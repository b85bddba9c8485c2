"""Between-workflow caching: another clone reuses results, unless its code differs."""

import os
import re

import h5py
import numpy as np
import pytest
from support.changed_code import change_body
from support.workflow import CONFIG, RESULTS, changed_config, copy_project, snakemake

CAPTURED = f"{RESULTS}/activations/toy/pre.h5"
PAIR = {f"{RESULTS}/checkpoints/toy/{stage}" for stage in ("pre", "post")}
"""Both are made before either is captured: the pair is looked at first."""


def cached(directory, environment, config=CONFIG):
    """Jobs, by the first file, that a dry run would take from the cache or put into it."""
    result = snakemake(
        directory, CAPTURED, "--cache", "--dry-run", config=config, environment=environment
    )
    assert result.returncode == 0, result.stdout
    said = re.findall(r"^Output file (\S+) will be (\w+) ", result.stdout, re.MULTILINE)
    return tuple({file for file, what in said if what == kind} for kind in ("obtained", "written"))


def activations(directory):
    with h5py.File(directory / CAPTURED) as file:
        return {name: file[name][:] for name in file}


@pytest.mark.slow
def test_a_second_clone_reuses_the_firsts_activations_and_a_changed_function_does_not(tmp_path):
    (tmp_path / "cache").mkdir()
    environment = {**os.environ, "SNAKEMAKE_OUTPUT_CACHE": str(tmp_path / "cache")}
    first, second = tmp_path / "first", tmp_path / "second"
    for clone in (first, second):
        copy_project(clone)
    shards = [f"{RESULTS}/activations/toy/pre.piece-{piece}.h5" for piece in range(1, 4)]
    assert cached(first, environment) == (set(), {*PAIR, shards[0]})
    result = snakemake(first, CAPTURED, "--cache", "--cores", "2", environment=environment)
    assert result.returncode == 0, result.stdout
    assert not (first / RESULTS / "benchmarks/capture_activations").exists()

    config = changed_config(second / "shared.yaml", ("compute.shards", 3))
    assert cached(second, environment, config) == ({*PAIR, *shards}, set())
    result = snakemake(
        second, CAPTURED, "--cache", "--cores", "2", config=config, environment=environment
    )
    assert result.returncode == 0, result.stdout
    logs = (second / RESULTS / "logs/capture_activations").rglob("*.log")
    assert all(log.read_text(encoding="utf-8") == "" for log in logs)
    one, other = activations(first), activations(second)
    for name, values in one.items():
        np.testing.assert_array_equal(other[name], values)

    third = tmp_path / "third"
    copy_project(third)
    change_body(third / "workflow_scripts/dpo_neurons/activations/capture.py", "see_tokens")
    assert cached(third, environment) == (PAIR, {shards[0]})
