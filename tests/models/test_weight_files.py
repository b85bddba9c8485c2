"""Where tensors lie: one set of weights, inside the folder, as index and headers say."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from dpo_neurons.errors import InputError
from dpo_neurons.models.checkpoint_folder import check_weight_files, read_architecture
from dpo_neurons.models.loading import load_model
from dpo_neurons.models.weight_files import INDEX, locate_tensors, read_headers
from dpo_neurons.models.weight_reader import StoredWeights


@pytest.fixture
def folder(checkpoints, tmp_path):
    """A Llama's checkpoint in two parts with an index."""
    folder = shutil.copytree(checkpoints["llama", "pre"], tmp_path / "parts")
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"a.safetensors": names[:9], "b.safetensors": names[9:]}
    for file, part in parts.items():
        save_file({name: tensors[name] for name in part}, folder / file, {"format": "pt"})
    write_index(folder, {name: file for file, part in parts.items() for name in part})
    return folder


def write_index(folder, places, name=INDEX):
    (folder / name).write_text(json.dumps({"metadata": {}, "weight_map": places}))


def places_of(folder):
    return json.loads((folder / INDEX).read_text())["weight_map"]


def refused_by_all(folder, words):
    """Both readers and the program that links refuse the folder in these words."""
    readers = (
        lambda: StoredWeights(folder),
        lambda: load_model(folder, "float32", "cpu"),
        lambda: check_weight_files(folder),
    )
    for read in readers:
        with pytest.raises(InputError, match=words) as caught:
            read()
        assert str(folder) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_headers_are_those_of_the_tensors(checkpoints, folder):
    whole = read_headers(checkpoints["llama", "pre"])
    stored = load_file(checkpoints["llama", "pre"] / "model.safetensors")
    assert {name: header.shape for name, header in whole.items()} == {
        name: tuple(tensor.shape) for name, tensor in stored.items()
    }
    assert {header.dtype for header in whole.values()} == {"F32"}
    parts = read_headers(folder)
    assert parts.keys() == whole.keys()
    assert {header.file.name for header in parts.values()} == {"a.safetensors", "b.safetensors"}


@pytest.mark.parametrize("how", ["absolute", "parent", "below", "link", "folder"])
def test_an_index_that_names_a_file_outside_the_folder_is_refused(folder, tmp_path, how):
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    shutil.move(folder / "b.safetensors", outside / "b.safetensors")
    name = {
        "absolute": str(outside / "b.safetensors"),
        "parent": "../elsewhere/b.safetensors",
        "below": "down/../../elsewhere/b.safetensors",
        "link": "b.safetensors",
        "folder": "below/b.safetensors",
    }[how]
    if how == "link":
        (folder / "b.safetensors").symlink_to(outside / "b.safetensors")
    if how == "folder":
        (folder / "below").symlink_to(outside)
    write_index(folder, {n: name if f.startswith("b") else f for n, f in places_of(folder).items()})
    refused_by_all(folder, "lies outside the checkpoint's folder")


def test_a_snapshot_of_the_hubs_cache_is_read_through_its_links(folder, tmp_path):
    snapshot = tmp_path / "models--a--b" / "snapshots" / "c"
    blobs = tmp_path / "models--a--b" / "blobs"
    blobs.mkdir(parents=True)
    shutil.copytree(folder, snapshot)
    for number, file in enumerate(sorted(snapshot.iterdir())):
        file.rename(blobs / str(number))
        file.symlink_to(f"../../blobs/{number}")
    (tmp_path / "pre").symlink_to(snapshot)
    for path in (snapshot, tmp_path / "pre"):
        assert read_headers(path).keys() == read_headers(folder).keys()
        assert load_model(path, "float32", "cpu").config.num_hidden_layers == 3


def test_a_single_file_beside_an_index_of_others_is_refused(checkpoints, folder):
    shutil.copy(checkpoints["gpt2", "pre"] / "model.safetensors", folder)
    refused_by_all(folder, "two sets of weights")


def test_an_index_that_names_the_single_file_alone_is_no_second_set(checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints["llama", "pre"], tmp_path / "one")
    names = read_headers(folder)
    write_index(folder, dict.fromkeys(names, "model.safetensors"))
    assert locate_tensors(folder) == dict.fromkeys(names, folder / "model.safetensors")
    load_model(folder, "float32", "cpu")


@pytest.mark.parametrize("kind", ["in both", "in neither", "not there"])
def test_an_index_that_disagrees_with_its_files_is_refused(folder, kind):
    tensors = load_file(folder / "b.safetensors")
    if kind == "in both":
        name = next(name for name, file in places_of(folder).items() if file == "a.safetensors")
        tensors[name] = load_file(folder / "a.safetensors")[name] + 1
    elif kind == "in neither":
        tensors["model.extra.weight"] = torch.ones(2)
    else:
        del tensors[next(iter(tensors))]
    save_file(tensors, folder / "b.safetensors", {"format": "pt"})
    words = {
        "in both": "says is in another file",
        "in neither": "says is nowhere",
        "not there": "lacks .*which model.safetensors.index.json says is there",
    }[kind]
    for check in (check_weight_files, lambda path: load_model(path, "float32", "cpu")):
        with pytest.raises(InputError, match=words):
            check(folder)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a\0b", "is 'a\\\\x00b', the name of no file"),
        (5, "is 5, the name of no file"),
        ("aa.safetensors", "cannot be read \\(no such file\\)"),
        ("aa", "cannot be read \\(no such file\\)"),
    ],
)
def test_an_index_that_names_no_file_is_refused(folder, name, words):
    (folder / "aa").mkdir()
    write_index(folder, places_of(folder) | {"model.norm.weight": name})
    with pytest.raises(InputError, match=words):
        check_weight_files(folder)


def test_an_index_with_one_tensor_twice_is_refused(folder):
    text = (folder / INDEX).read_text()
    twice = text.replace(
        '"model.norm.weight"', '"model.norm.weight": "a.safetensors", "model.norm.weight"'
    )
    (folder / INDEX).write_text(twice)
    refused_by_all(folder, "the key 'model.norm.weight' stands twice")


def test_old_weights_have_one_set_too(tmp_path):
    (tmp_path / "pytorch_model-1.bin").touch()
    write_index(tmp_path, {"a": "pytorch_model-1.bin"}, "pytorch_model.bin.index.json")
    check_weight_files(tmp_path)
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(InputError, match="two sets of weights"):
        check_weight_files(tmp_path)
    write_index(tmp_path, {"a": "/etc/hostname"}, "pytorch_model.bin.index.json")
    with pytest.raises(InputError, match="lies outside"):
        check_weight_files(tmp_path)


@pytest.mark.parametrize(
    "files",
    [
        ["adapter_config.json", "adapter_model.safetensors"],
        ["adapter_config.json"],
        ["adapter_model.safetensors"],
        ["adapter_model.bin"],
    ],
)
@pytest.mark.parametrize("whole", ["model.safetensors", INDEX, "pytorch_model.bin"])
def test_an_adapter_beside_whole_weights_is_refused(checkpoints, tmp_path, files, whole):
    folder = shutil.copytree(checkpoints["llama", "pre"], tmp_path / "both")
    (folder / "model.safetensors").rename(folder / whole)
    for name in files:
        (folder / name).write_text("{}")
    for read in (read_architecture, lambda path: load_model(path, "float32", "cpu")):
        with pytest.raises(InputError, match=rf"whole weights \({whole}\) and an adapter"):
            read(folder)


def test_an_adapter_alone_is_no_checkpoint(checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints["llama", "pre"], tmp_path / "alone")
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="an adapter and no whole model"):
        read_architecture(folder)


@pytest.mark.parametrize("key", ["transformers_weights", "fusion_config"])
def test_a_config_that_sends_transformers_to_other_weights_is_refused(checkpoints, tmp_path, key):
    folder = shutil.copytree(checkpoints["llama", "pre"], tmp_path / "other")
    shutil.copy(checkpoints["llama", "post"] / "model.safetensors", folder / "b.safetensors")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {key: "b.safetensors"}))
    with pytest.raises(InputError, match=f"{key} makes transformers read other weights"):
        load_model(folder, "float32", "cpu")


def test_the_shards_of_distributed_training_beside_whole_weights_are_refused(checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints["llama", "pre"], tmp_path / "shards")
    (folder / "shard-00000-model-00001-of-00001.safetensors").touch()
    with pytest.raises(InputError, match="two sets of weights"):
        load_model(folder, "float32", "cpu")
