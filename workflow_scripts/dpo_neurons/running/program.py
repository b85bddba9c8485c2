"""What every program does around its own work: logging, threads, and telling a user's mistake."""

import argparse
import fcntl
import logging
import os
import platform
import shlex
import stat
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

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
    wait_for_orphaned_job()
    try:
        main()
    except InputError as error:
        sys.exit(f"Error: {error}")


def wait_for_orphaned_job() -> None:
    """Wait until no other process has standard error in the same file, which is a job's log.

    A job outlives a Snakemake that is killed; it would write its files over those of the job that
    a new run starts for them. The kernel drops the lock with the process.
    """
    if not stat.S_ISREG(os.fstat(2).st_mode):
        return
    try:
        fcntl.flock(2, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.info("a job of an earlier run still makes the same files; this one waits for its end")
        fcntl.flock(2, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        return


def library_versions() -> str:
    """Versions of the libraries that numbers depend on, as one line."""
    versions = []
    for library in ("torch", "transformers", "numpy"):
        try:
            versions.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            continue
    return ", ".join(versions)


def model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say how a model is run."""
    parser.add_argument("--dtype", required=True, help="float32, bfloat16 or float16")
    parser.add_argument("--attention", required=True, help="default, eager, sdpa, …")
    parser.add_argument("--gpus", type=int, default=1, help="to spread the model over (default: 1)")
    parser.add_argument(
        "--batch-size", type=batch_size, required=True, help="prompts at a time, or auto"
    )
    device_arguments(parser)


def pair_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say how both checkpoints of a model read and end texts."""
    parser.add_argument("--pair", type=Path, required=True, help="of check_pair, JSON")
    parser.add_argument(
        "--tokenizer", type=Path, required=True, help="the first checkpoint, for its tokenizer"
    )


def piece_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which pieces a job captures, and where to."""
    parser.add_argument("--pieces", type=int, required=True, help="that the prompts are cut into")
    parser.add_argument("--shard", type=int, default=1, help="which job this is, from 1 on")
    parser.add_argument("--shards", type=int, default=1, help="jobs that share the pieces")
    parser.add_argument("--output", type=Path, required=True, nargs="+", help="HDF5, one a piece")


def summary_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a table of contributions, the two caches that it is of, and the bootstrap."""
    parser.add_argument("--contributions", type=Path, required=True, help="parquet")
    parser.add_argument("--activations-pre", type=Path, required=True, help="HDF5")
    parser.add_argument("--activations-post", type=Path, required=True, help="HDF5")
    bootstrap_arguments(parser)


def bootstrap_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what intervals are made of."""
    parser.add_argument("--resamples", type=int, required=True)
    parser.add_argument("--level", type=float, required=True, help="share inside, such as 0.95")
    parser.add_argument("--seed", type=int, required=True)


def batch_size(word: str) -> int | Literal["auto"]:
    """A batch size on the command line: a number, or auto."""
    return "auto" if word == "auto" else int(word)


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
