"""Fetching from a hub, by the real client from the stand-in: choices, checks and failures."""

import errno
import hashlib
import shutil
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import _tree_cache, constants, file_download
from huggingface_hub.utils import _http
from support.hub_stand_in import NO_PROXY, HubStandIn

from dpo_neurons.errors import InputError
from dpo_neurons.study.hub import fetch, matching_files, model_files
from dpo_neurons.study.hub_errors import Pin, hub_errors_explained

TOKEN = "hf_SecretSecretSecret"
MODEL = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "merges.txt": b"a b\n",
    "model.safetensors": bytes(range(256)) * 400,
    "pytorch_model.bin": b"bin",
    "README.md": b"#",
}
PROMPTS = {"prompts.jsonl": b'{"prompt": "a"}\n', "data/x[1].csv": b"a\n1\n", "README.md": b"#"}


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


def forget_listings(cache: Path) -> None:
    """Leave the cache as clients did that kept no listings."""
    (listings,) = cache.glob("*/trees")
    shutil.rmtree(listings)
    _tree_cache._IN_MEMORY_TREE_CACHE.clear()


def fails(pin: Pin, choose=model_files) -> str:
    """The sentence of a failure: one line, the repository in it, the token not."""
    with pytest.raises(InputError) as caught:
        fetch(pin, choose)
    message = str(caught.value)
    assert pin.repository in message
    assert "\n" not in message
    assert TOKEN not in message
    return message


def test_a_model_comes_with_the_checksums_of_its_files(model):
    snapshot = fetch(model, model_files)
    chosen = ["config.json", "merges.txt", "model.safetensors", "tokenizer.json"]
    assert snapshot.files == {name: hashlib.sha256(MODEL[name]).hexdigest() for name in chosen}
    for name in chosen:
        assert (snapshot.folder / name).read_bytes() == MODEL[name]
    assert sorted(path.name for path in snapshot.folder.iterdir()) == chosen


def test_a_data_set_comes_by_patterns_and_odd_names_are_taken_as_they_are(prompts):
    snapshot = fetch(prompts, matching_files(["*.jsonl", "data/*"]))
    assert set(snapshot.files) == {"prompts.jsonl", "data/x[1].csv"}
    assert (snapshot.folder / "data/x[1].csv").read_bytes() == PROMPTS["data/x[1].csv"]


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ("model.safetensors pytorch_model.bin", "model.safetensors"),
        ("pytorch_model.bin training_args.bin optimizer.bin", "pytorch_model.bin"),
        (
            "model-00001-of-00002.safetensors model-00002-of-00002.safetensors "
            "model.safetensors.index.json consolidated.safetensors",
            "model-00001-of-00002.safetensors model-00002-of-00002.safetensors "
            "model.safetensors.index.json",
        ),
        ("adapter_model.safetensors adapter_config.json", "both"),
        ("adapter_model.bin adapter_config.json", "both"),
        (
            "model.safetensors original/consolidated.00.pth original/params.json tokenizer.model "
            "original/tokenizer.model onnx/model.safetensors tf_model.h5 flax_model.msgpack "
            "rust_model.ot model.fp16.safetensors vocab.txt model.py chat_template.jinja",
            "model.safetensors tokenizer.model vocab.txt",
        ),
    ],
)
def test_one_kind_of_weights_and_no_other_frameworks_are_chosen(names, chosen):
    chosen = names if chosen == "both" else chosen
    pin = Pin("a/b", "0" * 40, "model")
    assert sorted(model_files(pin, names.split())) == sorted(chosen.split())


def test_a_repository_without_weights_says_what_it_has():
    with pytest.raises(InputError, match=r"a/b: no weights at 0{12} .* there are x\.gguf, y\.json"):
        model_files(Pin("a/b", "0" * 40, "model"), ["y.json", "x.gguf"])


def test_a_pattern_without_a_match_says_what_there_is(prompts):
    message = fails(prompts, matching_files(["*.jsonl", "*.parquet"]))
    assert "no file matches '*.parquet'" in message
    assert "README.md, data/x[1].csv, prompts.jsonl" in message


def test_a_long_listing_is_cut():
    names = [f"f{number:03}" for number in range(500)]
    with pytest.raises(InputError, match=r"f000, f001, .*f019 and 480 more$"):
        matching_files(["x"])(Pin("a/b", "0" * 40, "dataset"), names)


def test_what_is_in_the_cache_is_not_asked_for_again(hub, model):
    first = fetch(model, model_files)
    assert hub.requests
    hub.requests.clear()
    assert fetch(model, model_files) == first
    assert hub.requests == []
    hub.stop()
    assert fetch(model, model_files) == first


def test_other_files_of_a_commit_are_added_to_those_in_the_cache(hub, prompts):
    fetch(prompts, matching_files(["*.jsonl"]))
    hub.requests.clear()
    assert set(fetch(prompts, matching_files(["*"])).files) == set(PROMPTS)
    assert not any("prompts.jsonl" in request for request in hub.requests)


def test_a_cache_of_an_older_client_is_used_without_a_network(hub, model, cache):
    first = fetch(model, model_files)
    forget_listings(cache)
    hub.stop()
    assert fetch(model, model_files) == first
    (first.folder / "model.safetensors").unlink()
    assert "cannot be reached and not all of it is in the cache" in fails(model)


def test_a_cache_of_an_older_client_is_completed_with_a_network(hub, model, cache):
    first = fetch(model, model_files)
    forget_listings(cache)
    (first.folder / "config.json").unlink()
    assert fetch(model, model_files) == first


def test_offline_mode_says_both_ways_out(hub, prompts, monkeypatch, cache):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    message = fails(prompts, matching_files(["*.jsonl"]))
    assert "offline mode is on (HF_HUB_OFFLINE)" in message
    command = f"'hf download some/prompts --repo-type dataset --revision {prompts.revision}'"
    assert command in message
    assert f"in the cache {cache}; " in message
    assert "set HF_HOME to a cache that has it" in message
    assert hub.requests == []


def test_offline_mode_takes_what_is_in_the_cache(hub, prompts, monkeypatch):
    first = fetch(prompts, matching_files(["*.jsonl"]))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch(prompts, matching_files(["*.jsonl"])) == first
    assert "offline mode is on" in fails(prompts, matching_files(["data/*"]))


def test_no_network_says_all_ways_out(hub, model):
    hub.stop()
    message = fails(model)
    assert f"{hub.endpoint} cannot be reached" in message
    assert f"'hf download some/one --revision {model.revision}'" in message
    assert "HF_HOME" in message
    assert "HF_ENDPOINT to a mirror" in message


@pytest.mark.parametrize("revision", ["main", "v1.0", "abc1234", "A" * 40, "0" * 39, ""])
def test_a_branch_is_no_pin(hub, revision):
    message = fails(Pin("some/one", revision, "dataset"))
    assert "pins nothing" in message
    assert f"{hub.endpoint}/datasets/some/one/commits/main" in message
    assert hub.requests == []


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


def test_the_token_goes_to_the_hub_and_not_to_the_store_of_large_files(hub, model, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    fetch(model, model_files)
    sent = dict(zip(hub.requests, hub.tokens, strict=True))
    large = [token for request, token in sent.items() if "/large/" in request]
    assert large == [""]
    asked = [token for request, token in sent.items() if "/resolve/" in request]
    assert set(asked) == {f"Bearer {TOKEN}"}


def test_an_unknown_repository_is_told(hub, model):
    message = fails(Pin("some/noone", model.revision, "model"))
    assert f"no such model at {hub.endpoint}, or a private one" in message
    assert "no such dataset" in fails(Pin("some/one", model.revision, "dataset"))


def test_an_unknown_commit_is_told(model):
    message = fails(Pin("some/one", "0" * 40, "model"))
    assert f"no commit {'0' * 40} in it" in message


@pytest.mark.parametrize("name", ["a/b/c", "a b", "-a", "https://x.y/a/b"])
def test_a_name_that_cannot_be_one_is_told(hub, name):
    assert 'give it as "owner/name"' in fails(Pin(name, "0" * 40, "model"))
    assert hub.requests == []


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


@pytest.mark.parametrize("change", [b"", b"\0" * 102_400 + b"\0", b"short"], ids=len)
def test_a_file_of_another_size_than_the_hub_said_is_named(model, change):
    snapshot = fetch(model, model_files)
    path = snapshot.folder / "model.safetensors"
    path.resolve().write_bytes(change)
    with pytest.raises(InputError, match=r"model\.safetensors: not what the hub holds") as caught:
        fetch(model, model_files)
    assert f"delete {path.resolve()} and run again" in str(caught.value)
    path.resolve().unlink()
    assert fetch(model, model_files) == snapshot


def test_without_a_listing_the_content_is_checked(hub, model, cache):
    path = fetch(model, model_files).folder / "model.safetensors"
    forget_listings(cache)
    hub.stop()
    path.resolve().write_bytes(b"\0" * len(MODEL["model.safetensors"]))
    with pytest.raises(InputError, match=r"model\.safetensors: not what the hub holds"):
        fetch(model, model_files)


def test_a_large_file_is_not_read_again(model, monkeypatch):
    fetch(model, model_files)
    read = []
    monkeypatch.setattr(
        "dpo_neurons.study.hub.sha256_of", lambda path: read.append(path.name) or "x"
    )
    fetch(model, model_files)
    assert sorted(read) == ["config.json", "merges.txt", "tokenizer.json"]


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
