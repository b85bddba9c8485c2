"""The program that converts a .pt file to a checkpoint."""

import json
import sys

import import_state_dict
import pytest
import torch
from support.by_hand import forward

from dpo_neurons.files.provenance import sha256_of
from dpo_neurons.models.loading import load_model


@pytest.mark.parametrize("architecture", ["gpt2", "gpt_neox"])
def test_the_checkpoint_has_the_weights_of_the_file_and_all_else_of_the_first(
    loaded, checkpoints, tmp_path, monkeypatch, architecture
):
    like, trained = checkpoints[architecture, "pre"], loaded(architecture, "post")
    torch.save({"step_idx": 1, "state": trained.state_dict()}, tmp_path / "policy.pt")
    output, source = tmp_path / "post", tmp_path / "post.source.json"
    words = f"import_state_dict --path {tmp_path / 'policy.pt'} --like {like} --threads 1"
    words += f" --output {output} --source-output {source}"
    monkeypatch.setattr(sys, "argv", words.split())
    monkeypatch.setattr(import_state_dict, "obey_threads", lambda threads: None)
    import_state_dict.main()

    model = load_model(output, "float32", "cpu")
    assert torch.equal(
        forward(model, [[3, 4, 9]])["logits"], forward(trained, [[3, 4, 9]])["logits"]
    )
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        assert (output / name).read_bytes() == (like / name).read_bytes()
    facts = json.loads(source.read_text())
    assert facts["kind"] == "state_dict"
    assert facts["path"] == str(tmp_path / "policy.pt")
    assert set(facts["files"]) == {file.name for file in output.iterdir()}
    assert facts["given"] == {"policy.pt": sha256_of(tmp_path / "policy.pt")}
