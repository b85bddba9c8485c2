"""Fetching from a hub, by the real client from the stand-in: choices, the cache and checks."""

import hashlib

import pytest
from huggingface_hub import constants
from support.hub_fetching import MODEL, PROMPTS, TOKEN, fails, forget_listings

from dpo_neurons.errors import InputError
from dpo_neurons.study.hub import fetch, matching_files, model_files
from dpo_neurons.study.hub_errors import Pin


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
            "model.safetensors tokenizer.model vocab.txt chat_template.jinja",
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


def test_offline_mode_takes_what_is_in_the_cache(hub, prompts, monkeypatch):
    first = fetch(prompts, matching_files(["*.jsonl"]))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch(prompts, matching_files(["*.jsonl"])) == first
    assert "offline mode is on" in fails(prompts, matching_files(["data/*"]))


@pytest.mark.parametrize("revision", ["main", "v1.0", "abc1234", "A" * 40, "0" * 39, ""])
def test_a_branch_is_no_pin(hub, revision):
    message = fails(Pin("some/one", revision, "dataset"))
    assert "pins nothing" in message
    assert f"{hub.endpoint}/datasets/some/one/commits/main" in message
    assert hub.requests == []


def test_the_token_goes_to_the_hub_and_not_to_the_store_of_large_files(hub, model, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    fetch(model, model_files)
    sent = dict(zip(hub.requests, hub.tokens, strict=True))
    large = [token for request, token in sent.items() if "/large/" in request]
    assert large == [""]
    asked = [token for request, token in sent.items() if "/resolve/" in request]
    assert set(asked) == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("name", ["a/b/c", "a b", "-a", "https://x.y/a/b"])
def test_a_name_that_cannot_be_one_is_told(hub, name):
    assert 'give it as "owner/name"' in fails(Pin(name, "0" * 40, "model"))
    assert hub.requests == []


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
