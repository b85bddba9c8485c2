"""Fixtures: rows selected from one file, and a hub on loopback with what it holds."""

import json
from pathlib import Path

import pytest
from huggingface_hub import constants, file_download
from huggingface_hub.utils import _http
from support.hub_fetching import MODEL, PROMPTS
from support.hub_stand_in import NO_PROXY, HubStandIn

from dpo_neurons.study.column_mapping import Selection, select_rows
from dpo_neurons.study.hub_errors import Pin


@pytest.fixture
def select(tmp_path):
    """Select rows from one JSON-lines file that holds these."""

    def select(mine, dataset, **settings):
        path = tmp_path / "mine.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in mine))
        return select_rows([path], Selection(dataset, **settings))

    return select


def put(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def hub(cache, monkeypatch):
    """The stand-in, with the client in this process turned to it and waiting for nothing."""
    with HubStandIn() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(cache / "harnesses.json"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
        monkeypatch.setattr(_http.time, "sleep", lambda seconds: None)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        for name, value in NO_PROXY.items():
            monkeypatch.setenv(name, value)
        _http.close_session()
        yield hub


@pytest.fixture
def model(hub, tmp_path) -> Pin:
    folder = put(tmp_path / "model", MODEL)
    return Pin("some/one", hub.add("model", "some/one", folder), "model")


@pytest.fixture
def prompts(hub, tmp_path) -> Pin:
    folder = put(tmp_path / "prompts", PROMPTS)
    return Pin("some/prompts", hub.add("dataset", "some/prompts", folder), "dataset")
