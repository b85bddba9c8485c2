"""Errors of a study with an unusable hub or checkpoint: one sentence each."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.hub_stand_in import HubStandIn
from support.real_study import OTHER, RESULTS, hold, write_study
from support.workflow import snakemake

pytest_plugins = ["support.finished_real_study"]


@pytest.fixture
def hub() -> Iterator[HubStandIn]:
    with HubStandIn() as hub:
        yield hub


@pytest.fixture
def fails(real: Path, hub: HubStandIn, tmp_path: Path) -> Callable[..., str]:
    """Run the study, changed, to a target; it must fail with one sentence, which is returned."""
    project = tmp_path / "project"
    left_behind = shutil.ignore_patterns("results", ".snakemake", "cache", "hub")
    shutil.copytree(real, project, symlinks=True, ignore=left_behind)
    commits = hold(hub, real)

    def run(target: str, *changes: tuple[str, Any]) -> str:
        config = write_study(project, commits, *changes)
        environment = hub.environment(tmp_path / "cache")
        command = [str(RESULTS / target), "--cores", "1"]
        result = snakemake(project, *command, config=config, environment=environment)
        assert result.returncode == 1, result.stdout
        assert "Traceback" not in result.stdout, result.stdout
        said = [line.strip() for line in result.stdout.splitlines()]
        (sentence,) = {line for line in said if line.startswith("Error: ")}
        assert not (project / RESULTS / target).exists()
        return sentence

    return run


def test_a_licence_that_is_not_accepted_is_told_with_where_to_do_so(hub, fails) -> None:
    hub.fail("some/base", 403, code="GatedRepo")
    sentence = fails("checkpoints/adapted/pre")
    page = f"{hub.endpoint}/some/base"
    assert sentence == (
        f"Error: some/base: the licence has to be accepted first; do so at {page}, then set "
        "HF_TOKEN to a token of that account"
    )


def test_an_unknown_revision_is_told_with_where_to_look(hub, fails) -> None:
    sentence = fails("data/perplexity_text.jsonl", ("data.perplexity_text.revision", OTHER))
    assert sentence.startswith(f"Error: some/wiki: no commit {OTHER} in it")
    assert f"{hub.endpoint}/datasets/some/wiki/commits/main" in sentence


def test_a_hub_out_of_reach_is_told_with_the_command_that_fills_the_cache(hub, fails) -> None:
    hub.stop()
    sentence = fails("fetched/scorer")
    assert f"Error: some/classifier: {hub.endpoint} cannot be reached" in sentence
    assert "hf download some/classifier --revision" in sentence


def test_a_quantised_checkpoint_is_refused_with_the_reason(hub, fails, real, tmp_path) -> None:
    quantised = Path(shutil.copytree(real / "hub/base", tmp_path / "quantised"))
    settings = json.loads((quantised / "config.json").read_text())
    settings["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (quantised / "config.json").write_text(json.dumps(settings))
    pin = {"repository": "some/codes", "revision": hub.add("model", "some/codes", quantised)}
    change = ("models.restored.pre", {"kind": "hub", **pin})
    sentence = fails("checkpoints/restored/pre", change)
    assert "the weights are quantised (gptq)" in sentence
    assert "integer codes" in sentence
