"""Output files appear whole or not at all: written beside their place, then renamed into it."""

import errno
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dpo_neurons.errors import InputError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TOKEN_BYTES = 4


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds.

    The temporary name ends like `path`, for writers that go by the extension.
    Raises InputError when the disk is full, or when another process has begun to write the same
    file meanwhile: the later one succeeds. Nothing of the temporary file is left then.
    """
    with _renamed_when_whole(_partial(path), path) as partial:
        yield partial


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """Yield an empty directory beside `path`; rename it to `path` if the block succeeds.

    Raises InputError as `whole_file` does.
    """
    partial = _partial(path)
    partial.mkdir()
    with _renamed_when_whole(partial, path):
        yield partial


@contextmanager
def _renamed_when_whole(partial: Path, path: Path) -> Iterator[Path]:
    try:
        yield partial
        if not os.path.lexists(partial):
            raise InputError(
                f"{path}: another process began to write it while this one did, so this one gave "
                "up; let one run alone make it, and run the same command again"
            )
        _to_disk(partial)
        _rename(partial, path)
    except BaseException as error:
        _remove(partial)
        _explain_full_disk(error, path)
        raise


def _partial(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # What a killed job left goes. So does what another process still writes: two of one name would
    # mix, and this way the earlier one finds nothing to rename.
    token = "[0-9a-f]" * 2 * TOKEN_BYTES
    for stale in path.parent.glob(f".partial-{token}-{glob.escape(path.name)}"):
        _remove(stale)
    return _name_beside(path)


def _name_beside(path: Path) -> Path:
    return path.with_name(f".partial-{secrets.token_hex(TOKEN_BYTES)}-{path.name}")


def _to_disk(partial: Path) -> None:
    # A rename may reach the disk before the content does; a power cut would leave an empty file.
    for each in [partial, *partial.rglob("*")]:
        if each.is_file() and not each.is_symlink():
            _sync(each)


def _rename(partial: Path, path: Path) -> None:
    aside = _name_beside(path)
    if any(one.is_dir() and not one.is_symlink() for one in (partial, path)):
        # Not removed in its place: a directory that is half removed looks like a whole one.
        with suppress(FileNotFoundError):
            path.rename(aside)
    partial.replace(path)
    _remove(aside)
    with suppress(OSError):  # some file systems know no such thing of a directory
        _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _explain_full_disk(error: BaseException, path: Path) -> None:
    # Some libraries report a full disk with the errno in the text only, and as their own error.
    full = isinstance(error, OSError) and error.errno in DISK_FULL
    text = " ".join(str(error).split())
    if full or any(os.strerror(number) in text for number in DISK_FULL):
        raise InputError(
            f"{path}: the disk is full ({text}); free some space or move results/ to a larger "
            "disk, then run the same command again"
        ) from error
