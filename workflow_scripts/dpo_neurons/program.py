"""What every program does around its own work: logging, threads, and telling a user's mistake."""

import argparse
import logging
import os
import platform
import shlex
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dpo_neurons.errors import InputError

log = logging.getLogger("dpo_neurons")


def run_program(main: Callable[[], None]) -> None:
    """Run a program's main; a user's mistake ends it with one sentence and exit status 1."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    for client in ("httpx", "httpx2"):
        # They log the addresses of what is fetched, signed ones too.
        logging.getLogger(client).setLevel(logging.WARNING)
    if not {"-h", "--help"} & set(sys.argv):
        log.info("%s", shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))
        log.info("python %s, %s", platform.python_version(), library_versions())
    try:
        main()
    except InputError as error:
        sys.exit(f"Error: {error}")


def library_versions() -> str:
    """Versions of the libraries that numbers depend on, as one line."""
    found = []
    for library in ("torch", "transformers", "numpy"):
        try:
            found.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say how a model is run."""
    parser.add_argument("--dtype", required=True, help="float32, bfloat16 or float16")
    parser.add_argument("--attention", required=True, help="default, eager, sdpa, …")
    parser.add_argument("--gpus", type=int, default=1, help="to spread the model over (default: 1)")
    parser.add_argument("--batch-size", type=int, required=True, help="prompts at a time")
    device_arguments(parser)


def tuning_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that both kinds of tuning take."""
    parser.add_argument("--dtype", required=True, help="of the tuned weights")
    parser.add_argument("--learning-rate", type=float, required=True)
    for whole in ("warmup-steps", "steps", "batch-size", "seed"):
        parser.add_argument(f"--{whole}", type=int, required=True)
    parser.add_argument("--max-tokens", type=int, help="of prompt and answer (default: all)")
    device_arguments(parser)


def device_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the device and the number of threads."""
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--threads", type=int, required=True, help="threads of torch and BLAS")


def obey_threads(threads: int) -> None:
    """Keep torch, BLAS and the tokenizers to this many threads.

    To be called before torch does any work. Waiting threads sleep: spinning ones would starve the
    other jobs when more threads are declared than there are cores.
    """
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import threadpoolctl
    import torch

    threadpoolctl.threadpool_limits(threads)  # for a BLAS that was loaded before
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
