"""Output files appear whole or not at all: written beside their place, then renamed into it."""

import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dpo_neurons.errors import InputError
from dpo_neurons.files.file_faults import DISK_FULL, describe_fault

TOKEN_BYTES = 4


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds.

    The temporary name ends like `path`, for writers that choose a format by the extension.
    Raises InputError if `path` cannot be written, if the disk is full, or if another process
    begins to write the same file meanwhile. The temporary file is then removed.
    """
    with _renamed_when_whole(_partial(path), path) as partial:
        yield partial


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """Yield an empty directory beside `path`; rename it to `path` if the block succeeds.

    Raises InputError as `whole_file` does.
    """
    partial = _partial(path)
    with _faults_explained(path):
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
    """Choose the temporary path, in a folder that exists and can be written."""
    partial = _name_beside(path)
    with _faults_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Remove what a killed job left, and what another process still writes: the other process
        # then finds nothing to rename, so two outputs of one name never mix.
        token = "[0-9a-f]" * 2 * TOKEN_BYTES
        for stale in path.parent.glob(f".partial-{token}-{glob.escape(path.name)}"):
            _remove(stale)
        partial.touch()  # libraries report an unwritable folder each in its own words
        partial.unlink()
    return partial


@contextmanager
def _faults_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if Path(os.fsdecode(error.filename or "")).name.startswith(".partial-"):
            error.filename = None  # the user knows the file by its own name
        sentence = describe_fault(error, path)
        if sentence is None:
            raise
        prefix = "" if sentence.startswith(f"{path}:") else f"{path}: cannot be written: "
        raise InputError(prefix + sentence) from error


def _name_beside(path: Path) -> Path:
    return path.with_name(f".partial-{secrets.token_hex(TOKEN_BYTES)}-{path.name}")


def _to_disk(partial: Path) -> None:
    # A rename may reach the disk before the content: a power cut would leave an empty file.
    for path in [partial, *partial.rglob("*")]:
        if path.is_file() and not path.is_symlink():
            _sync(path)


def _rename(partial: Path, path: Path) -> None:
    _check_same_kind(partial, path)
    aside = _name_beside(path)
    if _is_folder(partial) or _is_folder(path):
        # Renamed before it is removed: a half-removed directory looks like a whole one.
        with suppress(FileNotFoundError):
            path.rename(aside)
    partial.replace(path)
    _remove(aside)
    with suppress(OSError):  # some file systems cannot sync a directory
        _sync(path.parent)


def _check_same_kind(partial: Path, path: Path) -> None:
    """Refuse to replace a folder by a file or a file by a folder; links may be replaced."""
    if partial.is_symlink() or path.is_symlink() or not path.exists():
        return
    if _is_folder(path) and not _is_folder(partial):
        raise InputError(f"{path}: a folder stands where a file should be; move it away")
    if _is_folder(partial) and not _is_folder(path):
        raise InputError(f"{path}: a file stands where a folder should be; move it away")


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if _is_folder(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _explain_full_disk(error: BaseException, path: Path) -> None:
    # Some libraries raise an error of their own, with the system's message in its text only.
    full = isinstance(error, OSError) and error.errno in DISK_FULL
    text = " ".join(str(error).split())
    if full or any(os.strerror(number) in text for number in DISK_FULL):
        raise InputError(
            f"{path}: the disk is full ({text}); free some space or move results/ to a larger "
            "disk, then run the same command again"
        ) from error
