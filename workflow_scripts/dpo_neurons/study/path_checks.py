"""Check the paths of a study before any job runs."""

import os
from pathlib import Path
from typing import Any

from dpo_neurons.errors import InputError
from dpo_neurons.study.data_files import ENDINGS, matching_paths
from dpo_neurons.study.program_options import KNOWN_SCORERS
from dpo_neurons.study.schema import LONGEST_QUOTE, quote
from dpo_neurons.study.study import Study

FOLDER_KINDS = ("directory", "adapter", *KNOWN_SCORERS)
"""Kinds of entries whose path is a folder; that of all others is a file."""
_BRACES = "holds a brace, which Snakemake would take for a wildcard; rename it, or give a link"


def check_paths(study: Study, source: str) -> None:
    """Check every path that a study names.

    source: the file that the configuration was read from.
    Raises InputError for a path that is missing or unreadable, for a folder in place of a file or
    the reverse, and for a file or folder that is not what its kind needs.
    """
    directions = study.config["directions"]
    entries = study.entries | {f"directions.{name}": directions[name] for name in directions}
    for name, row in study.config["interventions"].items():
        problem = _path_problem(row["file"], False, False) if "file" in row else None
        if problem is not None:
            place = f"{source}: interventions.{name}.file"
            raise InputError(f"{place}: {quote_path(row['file'])} {problem}")
    for name, autoencoders in study.autoencoders.items():
        for autoencoder, settings in autoencoders.items():
            folder = settings.get("path")
            if folder is None:
                continue
            problem = _path_problem(folder, False, True) or _autoencoder_problem(folder)
            if problem is not None:
                place = f"{source}: models.{name}.autoencoders.{autoencoder}.path"
                raise InputError(f"{place}: {quote_path(folder)} {problem}")
    for key, entry in entries.items():
        for name in ("path", "like", "words_file"):
            if name in entry:
                of_data = key.startswith("data.")
                is_folder = entry["kind"] in FOLDER_KINDS or name == "like"
                problem = _path_problem(entry[name], of_data, is_folder)
                problem = problem or _content_problem(entry, name, of_data)
                if problem is not None:
                    raise InputError(f"{source}: {key}.{name}: {quote_path(entry[name])} {problem}")
        if "{" in entry.get("files", "") or "}" in entry.get("files", ""):
            raise InputError(f"{source}: {key}.files: {_BRACES}")


def _path_problem(path: str, is_pattern: bool, is_folder: bool) -> str | None:
    """Say what is wrong with a path, or with a pattern's matches; None if nothing is."""
    if "{" in path or "}" in path:
        return _BRACES
    missing = "does not exist; give a path that does, relative to where snakemake is started"
    try:
        paths = matching_paths([path]) if is_pattern else [Path(path)]
        if not all(match.exists() for match in paths):
            return missing
    except InputError:
        return missing
    except OSError as error:
        return f"cannot be read ({error.strerror}); give another path"
    for match in paths:
        if is_folder and not match.is_dir():
            return "is a file, where a folder should be; give the folder"
        if not is_folder and match.is_dir():
            return "is a folder, where a file should be; give the file"
        if not is_folder and not match.is_file():
            return "is a pipe or a device, which cannot be read twice; give a file"
        if not os.access(match, os.R_OK | (os.X_OK if is_folder else 0)):
            return "may not be read; change its permissions, or give another path"
    return None


def _content_problem(entry: dict[str, Any], name: str, of_data: bool) -> str | None:
    """Say what a path's name or folder lacks that its kind needs; None if nothing is."""
    if of_data:
        matches = matching_paths([entry[name]])
        other = next((match for match in matches if match.suffix not in ENDINGS), None)
        if other is not None:
            return (
                f"ends in {other.suffix or 'no dot and letters'!r}, none of {', '.join(ENDINGS)}; "
                "unpack, convert or rename the file"
            )
    if entry["kind"] == "gguf" and not entry[name].endswith(".gguf"):
        return "does not end in .gguf; give a file in that format"
    if entry["kind"] in FOLDER_KINDS or name == "like":
        files = {file.name for file in Path(entry[name]).iterdir() if file.is_file()}
        needed = "adapter_config.json" if entry["kind"] == "adapter" else "config.json"
        if needed not in files and entry["kind"] == "directory" and "adapter_config.json" in files:
            return "holds an adapter and no whole model; give it as post: {kind: adapter, …}"
        if needed not in files:
            return f"holds no {needed}; give the folder that does"
    return None


def _autoencoder_problem(folder: str) -> str | None:
    """Say which file a sparse autoencoder's folder lacks; None if it has both."""
    for needed in ("cfg.json", "sae_weights.safetensors"):
        if not (Path(folder) / needed).is_file():
            return f"holds no {needed}; give the folder that does, as sae-lens saves it"
    return None


def quote_path(path: str) -> str:
    """Return a path as error messages show it: shortened if long, quoted if not printable."""
    return path if path.isprintable() and len(path) <= LONGEST_QUOTE else quote(path)
