"""Fetch models and data sets from a hub, pinned to a commit, through the hub's own cache.

The cache, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE are those of huggingface_hub. Files that are in
the cache at that commit are not requested again.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

import httpx2
from huggingface_hub import (
    HfApi,
    get_cached_repo_tree,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import CachedRepoTreeNotFoundError
from huggingface_hub.hf_api import RepoFile

from dpo_neurons.errors import InputError
from dpo_neurons.files.provenance import sha256_of
from dpo_neurons.study.hub_errors import Pin, hub_errors_explained

Choice = Callable[[Pin, list[str]], list[str]]
"""Chooses among the names of a repository's files; raises InputError if a needed one is missing."""

COMMIT = re.compile(r"[0-9a-f]{40}")
LARGE_BLOB = re.compile(r"[0-9a-f]{64}")
"""The hub's cache names a large file by its sha256, a small one by git's 40 digits."""

SMALL_MODEL_FILES = re.compile(r"[^/]+\.(json|model|txt|jinja)")
"""Configuration and tokenizer."""
WEIGHTS = (
    re.compile(r"(adapter_)?model(-\d+-of-\d+)?\.safetensors"),
    re.compile(r"(pytorch|adapter)_model(-\d+-of-\d+)?\.bin"),
)
"""Names of weights that transformers and peft read; the second kind only without the first."""


@dataclass(frozen=True)
class Snapshot:
    """Files fetched from a repository."""

    folder: Path
    """In the hub's cache; it may hold files of other choices too."""
    files: dict[str, str]
    """SHA-256 of each chosen file, by name in the repository."""


def fetch(pin: Pin, choose: Choice) -> Snapshot:
    """Fetch the chosen files of a repository into the hub's cache and check their sizes.

    Files in the cache are not requested again. Raises InputError for a revision that is no commit,
    for files that cannot be fetched and for files of another size than the hub says.
    """
    if not COMMIT.fullmatch(pin.revision):
        raise InputError(
            f"{pin.repository}: the revision {pin.revision!r} pins nothing; give a commit's 40 "
            f"hexadecimal digits, as listed at {pin.page}/commits/main"
        )
    with hub_errors_explained(pin):
        try:
            sizes = _sizes(pin)
        except (OSError, ValueError, httpx2.HTTPError):
            # Older clients filled the cache without a listing.
            cached = _without_listing(pin, choose)
            if cached is None:
                raise
            return cached
        names = choose(pin, list(sizes))
        folder = _download(pin, names, local=all(_is_cached(pin, name) for name in names))
    return _checked(folder, {name: sizes[name] for name in names})


def model_files(pin: Pin, names: list[str]) -> list[str]:
    """Choose the files that a model needs: configuration, tokenizer, one kind of weights.

    Weights of other frameworks, second copies and subfolders are not fetched.
    """
    small = [name for name in names if SMALL_MODEL_FILES.fullmatch(name)]
    for weights in WEIGHTS:
        chosen = [name for name in names if weights.fullmatch(name)]
        if chosen:
            return [*small, *chosen]
    raise InputError(
        f"{pin.repository}: no weights at {pin.revision[:12]} that can be read "
        f"(model.safetensors or pytorch_model.bin, whole or in parts); there are {_listed(names)}"
    )


def matching_files(patterns: Iterable[str]) -> Choice:
    """Return a choice by patterns such as data/*.parquet; each must match a file."""
    all_patterns = tuple(patterns)

    def choose(pin: Pin, names: list[str]) -> list[str]:
        for pattern in all_patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise InputError(
                    f"{pin.repository}: no file matches {pattern!r} at {pin.revision[:12]}; "
                    f"there are {_listed(names)}"
                )
        return [
            name for name in names if any(fnmatchcase(name, pattern) for pattern in all_patterns)
        ]

    return choose


def _sizes(pin: Pin) -> dict[str, int]:
    tree: Iterable[object]
    try:
        tree = get_cached_repo_tree(pin.repository, repo_type=pin.kind, revision=pin.revision)
    except CachedRepoTreeNotFoundError:
        tree = HfApi().list_repo_tree(
            pin.repository, repo_type=pin.kind, revision=pin.revision, recursive=True
        )
    return {entry.path: entry.size for entry in tree if isinstance(entry, RepoFile)}


def _is_cached(pin: Pin, name: str) -> bool:
    path = try_to_load_from_cache(pin.repository, name, repo_type=pin.kind, revision=pin.revision)
    return isinstance(path, str)


def _download(pin: Pin, names: list[str], local: bool) -> Path:
    return Path(
        snapshot_download(
            pin.repository,
            repo_type=pin.kind,
            revision=pin.revision,
            allow_patterns=[escape(name) for name in names],
            local_files_only=local,
        )
    )


def _without_listing(pin: Pin, choose: Choice) -> Snapshot | None:
    try:
        folder = _download(pin, [], local=True)
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
        chosen = choose(pin, [name for name in names if (folder / name).is_file()])
    except (FileNotFoundError, InputError):
        return None
    return _checked(folder, dict.fromkeys(chosen))


def _checked(folder: Path, sizes: dict[str, int | None]) -> Snapshot:
    return Snapshot(
        folder, {name: _checksum(folder / name, size) for name, size in sorted(sizes.items())}
    )


def _checksum(path: Path, size: int | None) -> str:
    """Return a cached file's checksum; raises InputError for another size or content."""
    blob = path.readlink() if path.is_symlink() else path
    named_by_content = blob.parent.name == "blobs" and LARGE_BLOB.fullmatch(blob.name)
    whole = size is None or path.stat().st_size == size
    # The name is trusted if the size is the hub's: reading 16 GB again would take a minute.
    checksum = blob.name if named_by_content and size is not None else sha256_of(path)
    if not whole or (named_by_content and checksum != blob.name):
        raise InputError(
            f"{path}: not what the hub holds, damaged since it was fetched; delete "
            f"{path.resolve()} and run again"
        )
    return checksum


def _listed(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:20])
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "") or "none"
