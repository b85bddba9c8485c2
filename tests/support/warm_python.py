"""A `python` and a `snakemake` that start quickly: the large libraries are imported already.

A server imports them once and forks for every call. The forked process gets the caller's arguments,
directory, environment and standard streams, and ends as any Python does. Two things differ from a
cold start: variables that a library reads when it is imported have no effect, and all processes of
a server have one hash seed.
"""

import atexit
import functools
import os
import shlex
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

SERVER = Path(__file__).with_name("warm_python_server.py")
CLIENT = Path(__file__).with_name("warm_python_client.py")


@functools.cache
def warm_commands() -> Path:
    """Start a server for this process; return the folder with `python` and `snakemake`."""
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    address = folder / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()
        server = subprocess.Popen(
            [sys.executable, str(SERVER), str(listener.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            pass_fds=[listener.fileno()],
        )
    # It ends when its standard input does, and so with this process, however that ends.
    atexit.register(server.communicate)
    # Isolated and without site-packages: the client starts in 20 ms.
    python = [sys.executable, "-ISE", str(CLIENT), str(address), sys.executable]
    write_command(folder / "python", python)
    write_command(folder / "snakemake", [*python, str(Path(sys.executable).parent / "snakemake")])
    return folder


def write_command(path: Path, words: list[str]) -> None:
    """Write a command that adds its arguments to these words."""
    path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
