"""Fixtures: tiny random models of every architecture, before and after a made-up fine-tuning."""

import gc
import os
from pathlib import Path

import pytest
import threadpoolctl
import torch
from hypothesis import HealthCheck, settings
from support.tiny_models import WORDS, randomise, small_config
from transformers import (
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from dpo_neurons.checkpoints.word_tokenizer import build_tokenizer
from dpo_neurons.models.architectures import ARCHITECTURES
from dpo_neurons.models.loading import load_model, load_tokenizer

# A slow run on a busy machine is not an error.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

DISTINCT = [
    name
    for number, (name, row) in enumerate(ARCHITECTURES.items())
    if row not in list(ARCHITECTURES.values())[:number]
]
"""The first architecture of each distinct row of the table."""
FAST = ("gpt2", "gemma2")
"""The architectures of `make test-fast`: without a gate; with a gate and a norm after the MLP."""
STUDIES = {"finished_study", "own_study", "brought", "real", "results", "commands"}
"""Fixtures that run a whole study."""


def pytest_configure() -> None:
    """Hold this process, and those that it starts, to one thread.

    Workers share the cores, and threads beyond the cores wait for each other: ten times as long.
    """
    os.environ.update({f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")})
    threadpoolctl.threadpool_limits(1)
    torch.set_num_threads(1)
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave the libraries and the collected tests out of garbage collections.

    They are over a million objects: a collection among them takes a second.
    """
    gc.freeze()
    gc.enable()


class Checkpoints(dict[tuple[str, str], Path]):
    """Directory of each (architecture, stage), made at the first access.

    Stages are pre, post and other, a third, unrelated checkpoint.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, key: tuple[str, str]) -> Path:
        architecture, _ = key
        with torch.random.fork_rng():
            torch.manual_seed(100 + list(ARCHITECTURES).index(architecture))
            config = small_config(architecture)
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
            randomise(model, 0.3)
            for stage, spread in (("pre", 0.0), ("post", 0.05), ("other", 0.3)):
                randomise(model, spread)
                path = self._folder / f"{architecture}_{stage}"
                model.save_pretrained(path)
                build_tokenizer(WORDS).save_pretrained(path)
                self[architecture, stage] = path
        return self[key]


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory) -> Checkpoints:
    """Directory of each (architecture, stage)."""
    return Checkpoints(tmp_path_factory.mktemp("checkpoints"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise `architecture`: distinct rows of the table, or all with the marker."""
    own = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "architecture" in metafunc.fixturenames and not any("architecture" in name for name in own):
        every = metafunc.definition.get_closest_marker("every_architecture")
        names = list(ARCHITECTURES) if every else DISTINCT
        slow = [name for name in names if name not in FAST]
        values = [pytest.param(n, marks=[pytest.mark.slow] if n in slow else []) for n in names]
        metafunc.parametrize("architecture", values, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests as slow that run a whole study, or wait for one."""
    for item in items:
        if STUDIES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def loaded(checkpoints):
    """Load a model once: loaded(architecture, stage)."""
    cache: dict[tuple[str, str], PreTrainedModel] = {}

    def load(architecture: str, stage: str = "pre") -> PreTrainedModel:
        if (architecture, stage) not in cache:
            cache[architecture, stage] = load_model(
                checkpoints[architecture, stage], "float32", "cpu"
            )
        return cache[architecture, stage]

    return load


@pytest.fixture
def model(loaded, architecture) -> PreTrainedModel:
    """The first checkpoint of each architecture in turn."""
    return loaded(architecture)


@pytest.fixture
def gpt2(loaded) -> PreTrainedModel:
    """The first checkpoint of the GPT-2 architecture."""
    return loaded("gpt2")


@pytest.fixture
def tokenizer(checkpoints) -> PreTrainedTokenizerBase:
    """The word-level tokenizer; a new one for each test, because tests may change it."""
    return load_tokenizer(checkpoints["gpt2", "pre"])
