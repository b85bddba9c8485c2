"""Each failure of a hub is told in one sentence, without a secret in it."""

import errno
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import constants
from support.hub_fetching import MODEL, TOKEN, fails

from dpo_neurons.errors import InputError
from dpo_neurons.study.hub import fetch, matching_files, model_files
from dpo_neurons.study.hub_errors import Pin, hub_errors_explained


def test_offline_mode_says_both_ways_out(hub, prompts, monkeypatch, cache):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    message = fails(prompts, matching_files(["*.jsonl"]))
    assert "offline mode is on (HF_HUB_OFFLINE)" in message
    command = f"'hf download some/prompts --repo-type dataset --revision {prompts.revision}'"
    assert command in message
    assert f"in the cache {cache}; " in message
    assert "set HF_HOME to a cache that has it" in message
    assert hub.requests == []


def test_no_network_says_all_ways_out(hub, model):
    hub.stop()
    message = fails(model)
    assert f"{hub.endpoint} cannot be reached" in message
    assert f"'hf download some/one --revision {model.revision}'" in message
    assert "HF_HOME" in message
    assert "HF_ENDPOINT to a mirror" in message


@pytest.mark.parametrize("where", ["/tree/", "HEAD .*config.json"])
@pytest.mark.parametrize("status", [401, 403])
def test_a_licence_not_accepted_says_where_to_accept_it(hub, model, where, status):
    hub.fail(where, status, "GatedRepo", "Access to model some/one is restricted.")
    message = fails(model)
    assert "the licence has to be accepted first" in message
    assert f"{hub.endpoint}/some/one, then set HF_TOKEN" in message


def test_a_wrong_token_is_told_and_not_shown(hub, model, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.fail(".*", 401, message="Invalid credentials in Authorization header")
    assert "the token is not accepted; set HF_TOKEN" in fails(model)
    assert f"Bearer {TOKEN}" in hub.tokens


@pytest.mark.parametrize("token", [f"{TOKEN}é", f"{TOKEN}\x00"])
def test_a_token_that_cannot_be_one_is_told_and_not_shown(model, monkeypatch, token):
    if "\0" in token:
        Path(constants.HF_TOKEN_PATH).parent.mkdir(parents=True, exist_ok=True)
        Path(constants.HF_TOKEN_PATH).write_text(token)
    else:
        monkeypatch.setenv("HF_TOKEN", token)
    assert "characters that no token has" in fails(model)


def test_an_unknown_repository_is_told(hub, model):
    message = fails(Pin("some/noone", model.revision, "model"))
    assert f"no such model at {hub.endpoint}, or a private one" in message
    assert "no such dataset" in fails(Pin("some/one", model.revision, "dataset"))


def test_an_unknown_commit_is_told(model):
    message = fails(Pin("some/one", "0" * 40, "model"))
    assert f"no commit {'0' * 40} in it" in message


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (500, "a failure of its own (status 500); run again later"),
        (503, "a failure of its own (status 503); run again later"),
        (429, "asks for fewer requests"),
        (403, "refuses with status 403; look at"),
        (404, "refuses with status 404; look at"),
    ],
)
@pytest.mark.parametrize("where", ["/tree/", "HEAD .*config.json", "GET .*/large/"])
def test_a_hub_that_refuses_is_told_with_its_status(hub, model, where, status, words):
    hub.fail(where, status)
    assert words in fails(model)


def test_a_failure_that_passes_is_waited_for(hub, model):
    hub.fail("/tree/", 503, times=2)
    hub.fail("HEAD .*/config.json", 500, times=2)
    hub.cut("GET .*/large/", 1000, times=2)
    snapshot = fetch(model, model_files)
    assert (snapshot.folder / "model.safetensors").read_bytes() == MODEL["model.safetensors"]
    assert any("/large/" in request for request in hub.requests)


def test_a_connection_that_breaks_off_is_told_and_whole_files_are_kept(hub, model):
    hub.cut("GET .*/large/", 0)
    assert "broke off; run the same command again" in fails(model)
    hub.failures.clear()
    hub.requests.clear()
    fetch(model, model_files)
    assert [request for request in hub.requests if "config.json" in request] == []


@pytest.mark.parametrize("body", [b"<html>Please log in</html>", b"", b"[{"])
def test_a_login_page_in_place_of_the_hub_is_told(hub, model, body):
    hub.answer("/tree/", body)
    assert "does not answer as a hub does; check HF_ENDPOINT" in fails(model)


def test_a_head_without_a_commit_is_told(hub, model):
    hub.answer("HEAD .*config.json", b"")
    assert "does not answer as a hub does" in fails(model)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "is full; free some space or set"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "is full; free some space or set"),
        (PermissionError(errno.EACCES, "Permission denied"), "may not write to the cache"),
        (OSError("Consistency check failed: file should be of size 3"), "in another size than"),
        (httpx2.UnsupportedProtocol("x"), "HF_ENDPOINT is no address"),
        (httpx2.ReadTimeout("x"), "broke off"),
        (httpx2.ReadError("x"), "broke off"),
    ],
)
def test_what_the_system_reports_is_told(error, words):
    pin = Pin("a/b", "0" * 40, "model")
    with pytest.raises(InputError, match=r"^a/b: ") as caught, hub_errors_explained(pin):
        raise error
    assert words in str(caught.value)


@pytest.mark.parametrize("error", [ValueError("bug"), KeyError("bug"), OSError(errno.EIO, "bug")])
def test_a_bug_keeps_its_own_exception(error):
    pin = Pin("a/b", "0" * 40, "model")
    with pytest.raises(type(error), match="bug"), hub_errors_explained(pin):
        raise error


@pytest.mark.parametrize(
    "secret",
    ["me:secret@", "secret@", "me:a@secret@", "me:a/secret@", "me:a#secret@", "me:a?secret@"],
)
@pytest.mark.parametrize("query", ["", "?token=secret", "#secret"])
def test_a_password_in_the_endpoint_is_not_shown(monkeypatch, secret, query):
    monkeypatch.setattr(constants, "ENDPOINT", f"https://{secret}mirror.example{query}")
    page = Pin("a/b", "0" * 40, "dataset").page
    assert page == "https://mirror.example/datasets/a/b"


def test_an_endpoint_without_a_password_is_shown(monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "https://mirror.example")
    assert Pin("a/b", "0" * 40, "dataset").page == "https://mirror.example/datasets/a/b"
