"""The program score_continuations.py, run as a job runs it, and files for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from support.warm_python import warm_commands

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
PROGRAM = SCRIPTS / "evaluation/score_continuations.py"
ATTRIBUTES = ("TOXICITY", "INSULT", "THREAT")


def written(path, texts):
    common = {"intervention": "patch_x", "prompt": "a fool said", "tokens": [1]}
    rows = [{**common, "continuation": text} for text in texts]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def environment(key):
    kept = {name: value for name, value in os.environ.items() if name != "PERSPECTIVE_API_KEY"}
    return kept | {"NO_PROXY": "127.0.0.1"} | ({"PERSPECTIVE_API_KEY": key} if key else {})


def started(options, key=None):
    return subprocess.Popen(
        [sys.executable, PROGRAM, *map(str, options)],
        env=environment(key), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(options, key=None):
    done = subprocess.run(
        [warm_commands() / "python", PROGRAM, *map(str, options)],
        env=environment(key), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout == ""
    return done.returncode, done.stderr


def perspective(url, continuations, folder, name="scores", rate=500):
    return [
        "--continuations", continuations, "--scorer", "perspective", "--endpoint", url,
        "--attributes", *ATTRIBUTES, "--language", "en", "--queries-per-second", rate,
        "--store", folder / "store.sqlite", "--output", folder / f"{name}.parquet",
    ]  # fmt: skip
