"""The program that fetches from a hub, run as in a job: only its environment differs."""

import hashlib
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from support.hub_stand_in import HubStandIn
from support.workflow import PROJECT

from dpo_neurons.files.provenance import read_source

TOKEN = "hf_SecretSecretSecret"
WEIGHTS = b"weights " * 1000


@pytest.fixture
def hub() -> Iterator[HubStandIn]:
    with HubStandIn() as hub:
        yield hub


@pytest.fixture
def revision(hub, tmp_path) -> str:
    """A model's, some/one."""
    folder = tmp_path / "held"
    folder.mkdir()
    (folder / "config.json").write_bytes(b"{}")
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "pytorch_model.bin").write_bytes(b"not wanted")
    return hub.add("model", "some/one", folder)


@pytest.fixture
def start(hub, tmp_path):
    """Start the program with its outputs in out/."""

    def start(arguments: str, **environment: str) -> subprocess.Popen[str]:
        outputs = f" --output {tmp_path}/out/pre --source-output {tmp_path}/out/pre.source.json"
        return subprocess.Popen(
            [
                sys.executable,
                "workflow_scripts/study/fetch_from_hub.py",
                *shlex.split(arguments + outputs),
            ],
            cwd=PROJECT,
            env=hub.environment(tmp_path / "cache", **environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


def ends(process: subprocess.Popen[str]) -> tuple[int, str]:
    printed, _ = process.communicate(timeout=60)
    assert TOKEN not in printed
    assert "Traceback" not in printed
    return process.returncode, printed


def test_a_model_is_linked_with_where_it_is_from(hub, revision, start, tmp_path):
    arguments = f"--repository some/one --revision {revision} --type model"
    status, printed = ends(start(arguments, HF_TOKEN=TOKEN))
    assert status == 0, printed
    assert "/large/" not in printed, "addresses of large files are signed by the real hub"
    assert (tmp_path / "out/pre").is_symlink()
    assert (tmp_path / "out/pre/model.safetensors").read_bytes() == WEIGHTS
    assert not (tmp_path / "out/pre/pytorch_model.bin").exists()
    assert read_source(tmp_path / "out/pre.source.json") == {
        "kind": "hub",
        "repository": "some/one",
        "revision": revision,
        "files": {
            "config.json": hashlib.sha256(b"{}").hexdigest(),
            "model.safetensors": hashlib.sha256(WEIGHTS).hexdigest(),
        },
    }
    written = (tmp_path / "out/pre.source.json").read_bytes()
    hub.requests.clear()
    assert ends(start(arguments))[0] == 0
    assert hub.requests == []
    hub.stop()
    assert ends(start(arguments))[0] == 0
    assert (tmp_path / "out/pre.source.json").read_bytes() == written


def test_files_of_a_data_set_are_linked(hub, start, tmp_path):
    folder = tmp_path / "held" / "raw"
    folder.mkdir(parents=True)
    for name in ("test-0.parquet", "train-0.parquet"):
        (folder / name).write_bytes(name.encode())
    revision = hub.add("dataset", "some/text", folder.parent)
    arguments = f"--repository some/text --revision {revision} --type dataset --patterns raw/test-*"
    status, printed = ends(start(arguments))
    assert status == 0, printed
    assert [path.name for path in (tmp_path / "out/pre/raw").iterdir()] == ["test-0.parquet"]
    assert list(read_source(tmp_path / "out/pre.source.json")["files"]) == ["raw/test-0.parquet"]


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"HF_HUB_OFFLINE": "1"}, "offline mode is on (HF_HUB_OFFLINE)"),
        ({"HF_ENDPOINT": "127.0.0.1"}, "HF_ENDPOINT is no address"),
        ({"HF_TOKEN": f"{TOKEN}é"}, "characters that no token has"),
    ],
)
def test_a_failure_is_one_sentence_and_leaves_nothing(
    revision, start, tmp_path, environment, words
):
    arguments = f"--repository some/one --revision {revision} --type model"
    status, printed = ends(start(arguments, **environment))
    assert status == 1
    (last,) = [line for line in printed.splitlines() if line.startswith("Error:")]
    assert words in last
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize("arguments", ["--type dataset", "--type model --patterns x"])
def test_patterns_are_for_data_sets(start, arguments):
    status, printed = ends(start(f"--repository a/b --revision {'0' * 40} {arguments}"))
    assert status == 2
    assert "data sets need --patterns, and models do not take it" in printed


def test_a_killed_fetch_is_taken_up_again(hub, revision, start, tmp_path):
    arguments = f"--repository some/one --revision {revision} --type model"
    hub.delay("/large/", 30)
    process = start(arguments)
    while not any("GET /large/" in request for request in hub.requests):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "out").exists()
    hub.failures.clear()
    assert ends(start(arguments))[0] == 0
    assert (tmp_path / "out/pre/model.safetensors").read_bytes() == WEIGHTS


def test_a_full_disk_of_the_cache_says_how_to_move_it(revision, start, tmp_path):
    disk = tmp_path / "cache"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system may be mounted here")
    try:
        (disk / "ballast").write_bytes(b"\0" * 4096)
        status, printed = ends(start(f"--repository some/one --revision {revision} --type model"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert status == 1
    assert "set HF_HOME to a folder on a larger disk" in printed, printed
    assert not list(tmp_path.glob("out/*"))
