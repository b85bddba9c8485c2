"""Output files appear whole or not at all: written beside their place, then renamed into it."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dpo_neurons.errors import InputError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds.

    The temporary name ends like `path`, for writers that go by the extension.
    Raises InputError when the disk is full; nothing of the file is left then.
    """
    partial = _partial(path)
    partial.unlink(missing_ok=True)
    try:
        yield partial
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        _explain_full_disk(error, path)
        raise


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """Yield an empty directory beside `path`; rename it to `path` if the block succeeds.

    Raises InputError when the disk is full; nothing of the directory is left then.
    """
    partial = _partial(path)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.exists():
            shutil.rmtree(path)
        partial.replace(path)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        _explain_full_disk(error, path)
        raise


def _partial(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Always the same name: what a killed job leaves, the next try overwrites.
    return path.with_name(f".partial-{path.name}")


def _explain_full_disk(error: BaseException, path: Path) -> None:
    # Some libraries report a full disk with the errno in the text only, and as their own error.
    full = isinstance(error, OSError) and error.errno in DISK_FULL
    text = " ".join(str(error).split())
    if full or any(os.strerror(number) in text for number in DISK_FULL):
        raise InputError(
            f"{path}: the disk is full ({text}); free some space or move results/ to a larger "
            "disk, then run the same command again"
        ) from error
