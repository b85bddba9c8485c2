"""A pytest plugin: copies of both checkpoints of an architecture, for tests to change."""

import shutil

import pytest


@pytest.fixture
def pair(checkpoints, tmp_path):
    """Copies of both checkpoints, to be changed: pair(architecture)."""

    def copies(architecture="llama"):
        return [
            shutil.copytree(checkpoints[architecture, stage], tmp_path / architecture / stage)
            for stage in ("pre", "post")
        ]

    return copies
