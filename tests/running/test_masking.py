"""Secrets in addresses, keys and tokens appear in no log and no message."""

import subprocess
import sys
from pathlib import Path

import pytest

from dpo_neurons.running.masking import mask_secrets

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
SECRET = "s3cr3t-w0rd"


@pytest.mark.parametrize(
    "text",
    [
        f"https://user:{SECRET}@host.org/path",
        f"https://{SECRET}@host.org",
        f"https://user:a@{SECRET}@host.org",
        f"https://user:a/{SECRET}@host.org",
        f"https://user:a#{SECRET}@host.org",
        f"https://user:a?{SECRET}@host.org",
        f"--endpoint 'http://user:{SECRET}@[::1]:80/' --store x",
        f"user:{SECRET}@host.org",
        f"ftp://user:{SECRET}@host.org: no address",
        f"https://host.org/v1?key={SECRET}&x=1",
        f"https://host.org/#{SECRET}",
        f"the key {SECRET}-of-mine is wrong",
    ],
)
def test_no_part_of_a_secret_is_left(text, monkeypatch):
    monkeypatch.setenv("PERSPECTIVE_API_KEY", f" {SECRET}-of-mine\n")
    assert SECRET not in mask_secrets(text)


@pytest.mark.parametrize("token", ["hf_" + "aB3" * 11, "AIza" + "Sy-_9" * 7])
def test_tokens_are_known_by_their_form(token):
    assert token[8:] not in mask_secrets(f"the token '{token}' is refused")


@pytest.mark.parametrize(
    "text",
    [
        "https://commentanalyzer.googleapis.com",
        "config.yaml: models.toy.pre.path: ckpt/pre does not exist; give a path",
        "train_dpo.py --where lang=en --columns text=prompt.text --learning-rate 1e-05",
        "an address such as me@host.org",
    ],
)
def test_other_texts_stay_as_they_are(text, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "x")
    assert mask_secrets(text) == text


def test_a_program_logs_no_secret_of_its_command_line():
    code = """
from dpo_neurons.errors import InputError
from dpo_neurons.running.program import run_program
import sys
def main():
    raise InputError(f"{sys.argv[2]}: no address")
run_program(main)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "--endpoint", f"https://me:{SECRET}@host.org"],
        cwd=SCRIPTS, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert SECRET not in done.stderr
    assert "--endpoint" in done.stderr
    assert "Error: https://…@host.org: no address" in done.stderr
