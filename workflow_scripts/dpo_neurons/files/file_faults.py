"""Faults of files and disks, each as one sentence that names the file and the remedy."""

import errno
import os
from pathlib import Path

from dpo_neurons.errors import InputError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)

_NO_PERMISSION = "change its permissions, or use a folder that you may read and write"
_FILE_FOR_FOLDER = "a file stands where a folder should be; move it away or correct the path"
_FOLDER_FOR_FILE = "a folder stands where a file should be; move it away or correct the path"
_SICK_DISK = "the disk or the network drive fails; check it, then run the same command again"
_NO_LOCKS = "the file system has no locks; use a folder on a local disk"
REMEDIES: dict[int, str] = {
    **dict.fromkeys((errno.EACCES, errno.EPERM), _NO_PERMISSION),
    errno.EROFS: "use a folder that can be written, or mount this one writable",
    errno.ENAMETOOLONG: "shorten the path, or the names of study, model and intervention in it",
    errno.ENOENT: "check the path, or run the workflow again to make it",
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), _FILE_FOR_FOLDER),
    **dict.fromkeys((errno.EISDIR, errno.ENOTEMPTY), _FOLDER_FOR_FILE),
    errno.ELOOP: "its links form a circle; delete them",
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit on open files (ulimit -n)"),
    **dict.fromkeys(NO_LOCKS, _NO_LOCKS),
    **dict.fromkeys((errno.EIO, errno.ESTALE, errno.ENXIO, errno.ENODEV), _SICK_DISK),
    **dict.fromkeys(
        DISK_FULL, "the disk is full; free some space, then run the same command again"
    ),
}
"""What to do about each error of the operating system that is a fault of files or disks."""


def describe_fault(error: OSError, path: Path | str | None = None) -> str | None:
    """Describe a fault of files in one sentence; None for an error of another kind.

    path: the file at fault, for errors that name none.
    """
    remedy = REMEDIES.get(error.errno or 0)
    if remedy is None:
        return None
    name = error.filename if error.filename is not None else path
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    place = f"{_shorten(str(name))}: " if name is not None else ""
    return f"{place}{os.strerror(error.errno or 0)}; {remedy}"


def check_can_be_made(folder: Path) -> None:
    """Check that a folder exists and can be written, or can be made.

    Raises InputError for a file in its place or above it, and without permission.
    """
    nearest = folder.absolute()
    while not os.path.lexists(nearest):
        nearest = nearest.parent
    if not nearest.is_dir():
        raise InputError(f"{nearest}: {_FILE_FOR_FOLDER}")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{nearest}: cannot be written; {_NO_PERMISSION}")


def describe_unreadable(path: Path, error: Exception, file_format: str) -> InputError:
    """Describe why a result cannot be read: a fault of the disk or the machine, or damage.

    Only a damaged file is to be deleted: a file that cannot be opened may be as good as ever.
    """
    if isinstance(error, MemoryError):
        return InputError(f"{path}: has no room in this machine's memory; use a larger machine")
    fault = describe_fault(error, path) if isinstance(error, OSError) else None
    try:
        with path.open("rb") as content:
            content.read(1)
    except OSError as opening_error:  # libraries hide the system's error in their own
        fault = describe_fault(opening_error, path)
    if fault is not None:
        return InputError(fault if fault.startswith(str(path)) else f"{path}: {fault}")
    reason = " ".join(str(error).split())
    return InputError(
        f"{path}: cannot be read as {file_format} ({reason}); delete it and run again"
    )


def _shorten(name: str) -> str:
    return name if len(name) <= 300 else f"{name[:150]}…{name[-100:]}"
