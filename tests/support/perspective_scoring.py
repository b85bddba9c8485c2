"""A pytest plugin: scoring by the Perspective stand-in, with a store and without sleeping."""

import pytest

from dpo_neurons.errors import InputError
from dpo_neurons.scorers.backoff import Patience
from dpo_neurons.scorers.endpoint import PATH
from dpo_neurons.scorers.perspective import score_by_perspective
from dpo_neurons.scorers.perspective_service import Service
from dpo_neurons.scorers.score_store import open_store
from support.perspective_stand_in import FAST, KEY, TWO, standing_in


@pytest.fixture
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def service(no_proxy):
    with standing_in() as running:
        yield running


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "scores.sqlite") as opened:
        yield opened


@pytest.fixture
def slept():
    """How long the scorer would have slept."""
    return []


@pytest.fixture
def score(service, store, slept):
    """Score texts by the stand-in, without sleeping: score(texts, …)."""

    def scored(
        texts, attributes=TWO, key=KEY, language="en", below="", path=PATH, header=None, **patience
    ):
        asked = Service(service.url + below, language, FAST, path, header)
        patience = {"reply_seconds": 5.0, "sleep": slept.append} | patience
        return score_by_perspective(texts, attributes, asked, store, key, Patience(**patience))

    return scored


@pytest.fixture
def sentence(score):
    """The one sentence that scoring ends with, checked to be one and to hold no key."""

    def said(*arguments, **settings):
        with pytest.raises(InputError) as caught:
            score(*arguments, **settings)
        assert "\n" not in str(caught.value)
        assert KEY not in str(caught.value)
        return str(caught.value)

    return said
