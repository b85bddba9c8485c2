"""Facts from a checkpoint's directory, read without torch."""

import json
import subprocess
import sys

import pytest
from support.workflow import PROJECT

from dpo_neurons.errors import InputError
from dpo_neurons.models.architectures import ARCHITECTURES
from dpo_neurons.models.checkpoint_folder import (
    check_links,
    check_tokenizer,
    count_heads,
    count_layers,
    old_weights,
    read_architecture,
    read_config,
)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_family_is_that_of_the_config(tmp_path, architecture):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": architecture}))
    assert read_architecture(tmp_path) == ARCHITECTURES[architecture]


def test_a_config_in_another_encoding_or_with_a_key_twice_is_named(tmp_path):
    (tmp_path / "config.json").write_bytes('{"model_type": "gpt2"}'.encode("utf-16"))
    with pytest.raises(InputError, match=r"config\.json: not UTF-8"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text('{"rms_norm_eps": 1e-5, "rms_norm_eps": 0.5}')
    with pytest.raises(InputError, match=r"config\.json: the key 'rms_norm_eps' stands twice"):
        read_config(tmp_path)


def test_a_config_that_does_not_count_layers_or_heads_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"n_layer": 2, "num_attention_heads": 4}')
    assert (count_layers(tmp_path), count_heads(tmp_path)) == (2, 4)
    for described in ("{}", '{"num_hidden_layers": "2", "n_head": null}'):
        (tmp_path / "config.json").write_text(described)
        for count, keys in (
            (count_layers, "num_hidden_layers nor n_layer"),
            (count_heads, "nor n_head"),
        ):
            with pytest.raises(
                InputError, match=rf"config\.json: neither .*{keys} is a whole number"
            ):
                count(tmp_path)


def test_an_empty_quantisation_is_none(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2", "quantization_config": null}')
    assert read_architecture(tmp_path) == ARCHITECTURES["gpt2"]


@pytest.mark.parametrize(
    ("files", "old"),
    [
        (["model.safetensors", "pytorch_model.bin"], []),
        (["model.safetensors.index.json", "model-00001-of-00001.safetensors"], []),
        (["pytorch_model.bin", "adapter_model.safetensors"], ["pytorch_model.bin"]),
        (
            ["pytorch_model-00002-of-00002.bin", "pytorch_model-00001-of-00002.bin",
             "pytorch_model.bin.index.json"],
            ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"],
        ),
    ],
)  # fmt: skip
def test_old_weights_are_those_without_safetensors(tmp_path, files, old):
    for name in files:
        (tmp_path / name).touch()
    assert [file.name for file in old_weights(tmp_path)] == old


def test_no_weights_at_all_are_a_sentence(tmp_path):
    (tmp_path / "adapter_model.safetensors").touch()
    with pytest.raises(InputError, match="no weights in it"):
        old_weights(tmp_path)


def test_links_that_hold_are_no_mistake(tmp_path):
    (tmp_path / "blob").write_text("{}")
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "config.json").symlink_to("../blob")
    (tmp_path / "pre").symlink_to(tmp_path / "snapshot")
    check_links(tmp_path / "pre")
    (tmp_path / "blob").unlink()
    with pytest.raises(InputError, match=r"config\.json: a link to \.\./blob, which is gone"):
        check_links(tmp_path / "pre")


def test_any_kind_of_tokenizer_will_do(tmp_path):
    with pytest.raises(InputError, match="no tokenizer in it"):
        check_tokenizer(tmp_path)
    (tmp_path / "tokenizer.model").touch()
    check_tokenizer(tmp_path)


def test_none_of_it_loads_torch():
    code = (
        "import sys; sys.path[:0] = ['workflow_scripts', 'workflow_scripts/checkpoints']; "
        "import link_checkpoint; "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0
