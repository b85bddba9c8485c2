"""A pytest plugin: the micro study, run once for all tests and all workers."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest
from workflow import copy_project, snakemake


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory) -> Path:
    """The project with the finished micro study in it; to be read, not changed."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    directory = shared / "finished_study"
    failure = shared / "finished_study.failure"
    with (shared / "finished_study.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            copy_project(directory)
            result = snakemake(directory, "figures", "--cores", "2")
            failure.write_text("" if result.returncode == 0 else result.stdout, encoding="utf-8")
    if said := failure.read_text(encoding="utf-8"):
        pytest.fail(f"the micro study does not run:\n{said[-8000:]}", pytrace=False)
    return directory


@pytest.fixture
def own_study(finished_study, tmp_path) -> Path:
    """A copy of the finished study that a test may change; file times are kept."""
    return Path(shutil.copytree(finished_study, tmp_path / "study", symlinks=True))
