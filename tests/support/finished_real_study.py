"""A pytest plugin: the study of a user's own, run once for all tests and all workers."""

from pathlib import Path

import pytest

from support.hub_stand_in import HubStandIn
from support.real_study import RESULTS, hold, lay_out, targets, write_study
from support.workflow import RESULTS as MICRO
from support.workflow import copy_project, snakemake

pytest_plugins = ["support.finished_study"]


@pytest.fixture(scope="session")
def real(once, finished_study: Path, brought: Path) -> Path:
    """The finished study of what a user brings; to be read, not changed."""

    def make(directory: Path) -> str:
        copy_project(directory)
        lay_out(directory, brought, finished_study / MICRO / "checkpoints/toy/pre")
        with HubStandIn() as hub:
            config = write_study(directory, hold(hub, directory))
            environment = hub.environment(directory / "cache")
            command = [*targets(), "--cores", "2"]
            result = snakemake(directory, *command, config=config, environment=environment)
        return "" if result.returncode == 0 else result.stdout

    return once("real_study", make)


@pytest.fixture(scope="session")
def commits(real: Path) -> dict[str, str]:
    """The commit of each repository."""
    return hold(HubStandIn(), real)


@pytest.fixture(scope="session")
def results(real: Path) -> Path:
    """What the study made."""
    return real / RESULTS
