"""The profiles name existing options and resources of the rules."""

import os
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from snakemake.cli import get_argument_parser
from support.workflow import changed_config, copy_project, snakemake

ROOT = Path(__file__).parents[2]
PROFILES = {
    path.parent.name: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted(ROOT.glob("profiles/*/config.yaml"))
}
KNOWN = {
    name.removeprefix("--")
    for action in get_argument_parser()._actions
    for name in action.option_strings
}
HAS_SLURM = find_spec("snakemake_executor_plugin_slurm") is not None


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_names_only_options_that_snakemake_has(name):
    named = {key for key in PROFILES[name] if HAS_SLURM or not key.startswith("slurm-")}
    assert named - KNOWN == set()
    assert "max-checksum-file-size" in named  # some are left to be looked at


def test_the_profiles_rerun_and_report_alike():
    shared = ("scheduler", "show-failed-logs", "rerun-incomplete", "max-checksum-file-size")
    assert {key: PROFILES["slurm"][key] for key in shared} == {
        key: PROFILES["default"][key] for key in shared
    }


def test_nothing_of_the_login_node_limits_a_cluster():
    assert "cores" not in PROFILES["slurm"]
    # Given here, so the rules do not count the GPUs of the login node.
    assert [one.partition("=")[0] for one in PROFILES["slurm"]["resources"]] == ["gpu"]


def test_the_plugin_is_pinned_to_one_version():
    lines = (ROOT / "requirements-slurm.txt").read_text(encoding="utf-8").splitlines()
    (pin,) = [line for line in lines if not line.startswith("#")]
    assert re.fullmatch(r"snakemake-executor-plugin-slurm==[0-9.]+", pin)


@pytest.mark.slow
@pytest.mark.parametrize(("device", "gpus"), [("cpu", "0"), ("cuda", "1")])
def test_a_study_asks_for_gpus_by_its_device_where_there_are_none(tmp_path, device, gpus):
    copy_project(tmp_path / "study")
    config = changed_config(tmp_path / "study.yaml", ("compute.device", device))
    without = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    planned = snakemake(
        tmp_path / "study", "figures", "--dry-run", config=config, environment=without
    ).stdout
    resources = [
        dict(re.findall(r"(\w+)=([^,\n]*)", line))
        for line in re.findall(r"^    resources: (.*)$", planned, re.MULTILINE)
    ]
    assert {one["gpu"] for one in resources if "device" in one} == {gpus}
    # The plugin's jobs would ask for these, where a study runs on the CPU too.
    assert not any({"gpus", "nvidia_gpu"} & one.keys() for one in resources)
