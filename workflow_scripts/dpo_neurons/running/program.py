"""What all programs share: logging, arguments, threads, users' errors."""

import argparse
import fcntl
import gc
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
from dpo_neurons.files.file_faults import describe_fault
from dpo_neurons.running.masking import mask_secrets

log = logging.getLogger("dpo_neurons")

COLLECTED_AFTER = 10_000
"""New objects before Python looks for cycles among them. By default 700: imports of torch and
transformers then stop about a thousand times for it."""


def run_program(main: Callable[[], None]) -> None:
    """Run a program's main function.

    A user's mistake, a fault of files or disks and a full memory end the program with one sentence
    and exit status 1. Any other exception is a bug and keeps its traceback.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    for client in ("httpx", "httpx2"):
        # These clients log the addresses of downloads, and some addresses hold a signature.
        logging.getLogger(client).setLevel(logging.WARNING)
    if not {"-h", "--help"} & set(sys.argv):
        log.info("%s", mask_secrets(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])))
        log.info("python %s, %s", platform.python_version(), library_versions())
    wait_for_orphaned_job()
    gc.set_threshold(COLLECTED_AFTER)
    try:
        main()
    except InputError as error:
        sys.exit(f"Error: {mask_secrets(str(error))}")
    except OSError as error:
        sentence = describe_fault(error)
        if sentence is None:
            raise
        sys.exit(f"Error: {mask_secrets(sentence)}")
    except MemoryError as error:
        reason = " ".join(str(error).split())
        sys.exit(
            f"Error: the memory of this machine is full{f' ({reason})' if reason else ''}; close "
            "other programs or use a larger machine, then run the same command again"
        )
    finally:
        # At exit Python looks for cycles among all objects, in vain: a second after torch.
        gc.freeze()


def wait_for_orphaned_job() -> None:
    """Wait until no other process writes to the same log file as this one.

    A job's standard error is its log file. A job may survive a killed Snakemake and overwrite the
    files of the job that a new run starts. The kernel releases the lock when its process ends.
    """
    if not stat.S_ISREG(os.fstat(2).st_mode):
        return
    try:
        fcntl.flock(2, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.info("a job of an earlier run still writes the same files; waiting until it ends")
        fcntl.flock(2, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        return


def library_versions() -> str:
    """Return the versions of the libraries that results depend on, as one line."""
    versions = []
    for library in ("torch", "transformers", "numpy"):
        try:
            versions.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            continue
    return ", ".join(versions)


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say how a model is run."""
    parser.add_argument("--dtype", required=True, help="float32, float64, bfloat16 or float16")
    parser.add_argument("--attention", required=True, help="default, eager, sdpa, …")
    parser.add_argument("--gpus", type=int, default=1, help="GPUs for the model (default: 1)")
    parser.add_argument(
        "--batch-size", type=parse_batch_size, required=True, help="prompts at a time, or auto"
    )
    add_device_arguments(parser)


def add_pair_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say how both checkpoints of a model read and end texts."""
    parser.add_argument("--pair", type=Path, required=True, help="of check_pair, JSON")
    parser.add_argument(
        "--tokenizer", type=Path, required=True, help="the first checkpoint, for its tokenizer"
    )


def add_capture_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what a job captures: prompts, positions, pieces, files."""
    parser.add_argument("--name", required=True, help="the model's name, for the attributes")
    parser.add_argument("--prompts", type=Path, required=True, help="JSON lines")
    parser.add_argument("--tokens", type=int, required=True, help="tokens to generate")
    parser.add_argument(
        "--positions",
        required=True,
        choices=("generated", "predicting"),
        help="where activations are read",
    )
    parser.add_argument("--pieces", type=int, required=True, help="number of pieces of the prompts")
    parser.add_argument("--shard", type=int, default=1, help="number of this job, from 1 on")
    parser.add_argument("--shards", type=int, default=1, help="number of jobs for all pieces")
    parser.add_argument(
        "--output", type=Path, required=True, nargs="+", help="HDF5, a file for each piece"
    )


def add_summary_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a table of contributions, the caches that it comes from, and the bootstrap."""
    parser.add_argument("--contributions", type=Path, required=True, help="parquet")
    parser.add_argument("--activations-pre", type=Path, required=True, help="HDF5")
    parser.add_argument("--activations-post", type=Path, required=True, help="HDF5")
    add_bootstrap_arguments(parser)


def add_bootstrap_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the settings of bootstrap intervals."""
    parser.add_argument("--resamples", type=int, required=True)
    parser.add_argument("--level", type=float, required=True, help="coverage, such as 0.95")
    parser.add_argument("--seed", type=int, required=True)


def parse_batch_size(word: str) -> int | Literal["auto"]:
    """Parse a batch size of the command line: a number, or auto."""
    return "auto" if word == "auto" else int(word)


def add_tuning_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that DPO and supervised fine-tuning share."""
    parser.add_argument("--dtype", required=True, help="of the tuned weights")
    for name in ("learning-rate", "max-grad-norm"):
        parser.add_argument(f"--{name}", type=float, required=True)
    for name in ("warmup-steps", "steps", "batch-size", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--max-tokens", type=int, help="of prompt and answer (default: all)")
    add_device_arguments(parser)


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the device and the number of threads."""
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--threads", type=int, required=True, help="threads of torch and BLAS")


def obey_threads(threads: int) -> None:
    """Limit torch, BLAS and the tokenizers to this many threads.

    Call it before torch does any work. Waiting threads sleep: spinning ones would slow down other
    jobs whenever more threads are declared than the machine has cores.
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
