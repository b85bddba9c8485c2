"""Checkpoints that the workflow writes: their files and their source files."""

import json
import shutil

import pytest
from support.by_hand import state_of

from dpo_neurons.checkpoints.saving import files_and_revision, save_checkpoint, write_checkpoint
from dpo_neurons.models.loading import load_trainable_model


@pytest.fixture
def like(checkpoints, tmp_path):
    return shutil.copytree(checkpoints["gpt2", "pre"], tmp_path / "like")


@pytest.fixture
def trained(checkpoints):
    return load_trainable_model(checkpoints["gpt2", "post"], "float32")


def test_everything_but_weights_goes_along_byte_for_byte(like, trained, tmp_path):
    weights = ("pytorch_model.bin", "tf_model.h5", "consolidated.00.pth", "flax_model.msgpack")
    for name in (*weights, "model-00001-of-00002.safetensors", "model.safetensors.index.json"):
        (like / name).write_text("weights of the first model")
    (like / "merges.txt").write_text("ü")
    (like / ".gitattributes").write_text("hidden")
    write_checkpoint(trained, like, tmp_path / "post")
    assert {file.name for file in (tmp_path / "post").iterdir()} == {
        "config.json", "generation_config.json", "merges.txt", "model.safetensors",
        "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    for name in ("merges.txt", "tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "post" / name).read_bytes() == (like / name).read_bytes()


def test_both_checkpoints_end_texts_at_the_same_tokens(like, trained, tmp_path):
    decoding = {"eos_token_id": [2, 7, 9], "bos_token_id": 5, "do_sample": True, "top_p": 0.9}
    (like / "generation_config.json").write_text(json.dumps(decoding))
    trained.generation_config.eos_token_id = 3
    write_checkpoint(trained, like, tmp_path / "post")
    assert json.loads((tmp_path / "post/generation_config.json").read_text()) == decoding
    (like / "generation_config.json").unlink()
    write_checkpoint(trained, like, tmp_path / "post")
    assert not (tmp_path / "post/generation_config.json").exists()


def test_weights_are_saved_as_they_are(like, trained, tmp_path):
    before = state_of(trained)
    write_checkpoint(trained, like, tmp_path / "post")
    after = load_trainable_model(tmp_path / "post", "float32").state_dict()
    assert before.keys() == after.keys()
    assert all(before[name].equal(after[name]) for name in before)


def test_a_source_file_holds_the_facts_and_the_revision(like, trained, tmp_path):
    save_checkpoint(trained, like, tmp_path / "a", tmp_path / "a.json", kind="dpo", path="x")
    save_checkpoint(trained, like, tmp_path / "b", tmp_path / "b.json", kind="dpo", path="x")
    facts = json.loads((tmp_path / "a.json").read_text())
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert facts == {"kind": "dpo", "path": "x", **files_and_revision(tmp_path / "a")}


def test_a_failure_leaves_the_older_checkpoint_whole(like, trained, tmp_path, monkeypatch):
    write_checkpoint(trained, like, tmp_path / "post")
    before = files_and_revision(tmp_path / "post")

    def fail(directory):
        (directory / "model.safetensors").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(trained, "save_pretrained", fail)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(trained, like, tmp_path / "post")
    assert files_and_revision(tmp_path / "post") == before
    assert {path.name for path in tmp_path.iterdir()} == {"like", "post"}
