"""A pytest plugin: the micro study and files for it, made once for all tests and workers."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertForSequenceClassification,
    set_seed,
)

from dpo_neurons.checkpoints.word_tokenizer import build_tokenizer
from dpo_neurons.study.synthetic_language import vocabulary
from support.gguf_writing import small_llama, write_gguf
from support.workflow import CONFIG, RESULTS, SNAKEMAKE, copy_project, run_warm


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Callable[[str, Callable[[Path], str]], Path]:
    """Make a directory once for all workers: once(name, make), make(path) saying what failed."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def made(name: str, make: Callable[[Path], str]) -> Path:
        directory, failure = shared / name, shared / f"{name}.failure"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not failure.exists():
                failure.write_text(make(directory), encoding="utf-8")
        if said := failure.read_text(encoding="utf-8"):
            pytest.fail(f"{name} cannot be made:\n{said[-8000:]}", pytrace=False)
        return directory

    return made


@pytest.fixture(scope="session")
def finished_study(once) -> Path:
    """The project with the finished micro study in it; to be read, not changed."""

    def run(directory: Path) -> str:
        copy_project(directory)
        # Snakemake starts cold, so that its hash seed is another than that of later dry runs.
        command = [str(SNAKEMAKE), "figures", "--cores", "2", "--configfile", CONFIG]
        result = run_warm(command, directory)
        return "" if result.returncode == 0 else result.stdout

    return once("finished_study", run)


@pytest.fixture(scope="session")
def brought(once, finished_study) -> Path:
    """What a user may bring to the micro study's models; to be read, not changed.

    adapter: LoRA of its first checkpoint, in PEFT's format. post.pt: the weights of its second one
    as the reference's training keeps them. old: the first one with weights in PyTorch's format.
    classifier: a random sequence classifier with the labels kind and toxic.
    """

    def make(directory: Path) -> str:
        from peft import LoraConfig, get_peft_model  # seconds

        checkpoints = finished_study / RESULTS / "checkpoints/toy"
        set_seed(7)
        model = AutoModelForCausalLM.from_pretrained(checkpoints / "pre")
        shape = {"r": 2, "target_modules": ["c_fc", "c_proj"], "fan_in_fan_out": True}
        lora = LoraConfig(**shape, init_lora_weights=False, task_type="CAUSAL_LM")
        get_peft_model(model, lora).save_pretrained(directory / "adapter")

        shutil.copytree(checkpoints / "pre", directory / "old")
        (directory / "old/model.safetensors").unlink()
        weights = load_file(checkpoints / "pre/model.safetensors")
        torch.save(weights, directory / "old/pytorch_model.bin")
        weights = load_file(checkpoints / "post/model.safetensors")
        torch.save({"step_idx": 3, "state": weights}, directory / "post.pt")
        write_gguf(directory / "model.gguf", small_llama())

        words = vocabulary()
        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 24}
        labels = {"id2label": {0: "kind", 1: "toxic"}, "label2id": {"kind": 0, "toxic": 1}}
        config = BertConfig(
            **sizes, **labels, num_attention_heads=4, vocab_size=len(words), initializer_range=0.5
        )
        BertForSequenceClassification(config).save_pretrained(directory / "classifier")
        build_tokenizer(words).save_pretrained(directory / "classifier")
        return ""

    return once("brought", make)


@pytest.fixture
def own_study(finished_study, tmp_path) -> Path:
    """A copy of the finished study that a test may change; file times are kept."""
    return Path(shutil.copytree(finished_study, tmp_path / "study", symlinks=True))
