"""Import the large libraries, then run scripts in forked processes: warm_python_server.py SOCKET

SOCKET is the file descriptor of a listening socket; warm_python_client.py connects to it. The
server ends with its standard input, and removes the socket's folder.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import socket
import sys
from pathlib import Path

LIBRARIES = (
    "snakemake.cli",
    "torch",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.gpt2.modeling_gpt2",
    "transformers.generation",
    "safetensors.torch",
    "pandas",
    "pyarrow.parquet",
    "h5py",
    "scipy.stats",
    "sklearn.linear_model",
    "altair",
    "vl_convert",
    "jsonschema",
)
"""What most programs import, and nothing of the project: a test may run a changed copy of it."""


def wait_for_request(listener: socket.socket) -> dict | None:
    """Fork for every request; return it in the forked process, and None when the server ends."""
    answering = 0
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        # Waited for, so that their processor time is counted.
        while answering and os.waitpid(-1, 0 if sys.stdin in ready else os.WNOHANG)[0]:
            answering -= 1
        if sys.stdin in ready:
            shutil.rmtree(Path(listener.getsockname()).parent)
            return None
        connection, _ = listener.accept()
        with connection:
            if os.fork() == 0:
                return answer(connection)
        answering += 1


def answer(connection: socket.socket) -> dict:
    """Fork once more: return the request in the new process; send its exit status in this one."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as sent:
        request = json.load(sent)
    process = os.fork()
    if process:
        _, status = os.waitpid(process, 0)
        code = os.waitstatus_to_exitcode(status)
        connection.sendall(str(code if code >= 0 else 128 - code).encode())
        os._exit(0)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    return request


def take_over(words: list[str], directory: str, environment: dict[str, str]) -> None:
    """Make this process one of `python words` in that directory and environment."""
    import numpy as np

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    np.random.seed()  # as at its import
    sys.argv = words
    further = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:1] = [str(Path(words[0]).resolve().parent), *further]


def leave(status: int) -> None:
    """End this process without Python's last steps.

    They touch every object of the libraries, so the process would copy the server's memory: half a
    second.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    exit_status = 0
    # Registered first, it is called after all that a program registers.
    atexit.register(lambda: leave(exit_status))
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()  # else each collection of a forked process looks through the libraries' objects
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        request = wait_for_request(listener)
    if request:
        take_over(**request)
        exit_status = 1
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
            exit_status = 0
        except SystemExit as ending:
            code = ending.code
            exit_status = code if isinstance(code, int) else int(code is not None)
            raise
