"""Fetching models and data sets from a hub, pinned to a commit, through the hub's own cache.

The cache, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE are huggingface_hub's; what is in the cache at
that commit is not asked for again.
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
"""Picks names from those of a repository's files; raises InputError if what it needs is missing."""

COMMIT = re.compile(r"[0-9a-f]{40}")
LARGE_BLOB = re.compile(r"[0-9a-f]{64}")
"""The hub's cache names a large file by its sha256, a small one by git's 40 digits."""

SMALL_MODEL_FILES = re.compile(r"[^/]+\.(json|model|txt)")
"""Configuration and tokenizer."""
WEIGHTS = (
    re.compile(r"(adapter_)?model(-\d+-of-\d+)?\.safetensors"),
    re.compile(r"(pytorch|adapter)_model(-\d+-of-\d+)?\.bin"),
)
"""Weights by the names that transformers and peft read; the second only where the first lack."""


@dataclass(frozen=True)
class Snapshot:
    """What was fetched."""

    folder: Path
    """In the hub's cache; files that others chose may lie there too."""
    files: dict[str, str]
    """sha256 of each chosen file by its name in the repository."""


def fetch(pin: Pin, choose: Choice) -> Snapshot:
    """Bring the chosen files of a repository into the hub's cache and check their sizes.

    Asks the hub for nothing that is in the cache. Raises InputError, saying what to do, for a
    revision that is no commit and for files that cannot be had or are not as the hub said.
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
            # Older clients filled the cache without keeping the listing.
            cached = _without_listing(pin, choose)
            if cached is None:
                raise
            return cached
        names = choose(pin, list(sizes))
        folder = _download(pin, names, local=all(_is_cached(pin, name) for name in names))
    return _checked(folder, {name: sizes[name] for name in names})


def model_files(pin: Pin, names: list[str]) -> list[str]:
    """Choose what a model is loaded from: one kind of weights, configuration, tokenizer.

    Other frameworks' weights, second copies of them and subfolders are left where they are.
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
    """Make a choice by patterns such as data/*.parquet, each of which must match a file."""
    all_patterns = tuple(patterns)

    def choose(pin: Pin, names: list[str]) -> list[str]:
        for pattern in all_patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise InputError(
                    f"{pin.repository}: no file matches {pattern!r} at {pin.revision[:12]}; "
                    f"there are {_listed(names)}"
                )
        return [name for name in names if any(fnmatchcase(name, one) for one in all_patterns)]

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
    found = try_to_load_from_cache(pin.repository, name, repo_type=pin.kind, revision=pin.revision)
    return isinstance(found, str)


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
    """Checksum of a file in the cache; raises InputError if it is not of that size or content."""
    blob = path.readlink() if path.is_symlink() else path
    named_by_content = blob.parent.name == "blobs" and LARGE_BLOB.fullmatch(blob.name)
    whole = size is None or path.stat().st_size == size
    # With the size that the hub says, its name is taken as it is: 16 GB are not read again.
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
