"""A store of the programs' digests, so that unchanged code is read only once."""

import json
import platform
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from dpo_neurons.errors import InputError
from dpo_neurons.files.output_files import write_text
from dpo_neurons.running.code_digest import code_digest


def digest_programs(root: Path, store: Path) -> Mapping[str, str]:
    """Return the digest of each program below `root`, by its path without the suffix.

    Programs are the files in folders of `root` that are no packages. The digests are those in
    `store` if they were made of the same files; else they are computed and stored there. A store
    that is damaged or cannot be written is as good as none.
    Raises UnfollowableCodeError as `code_digest` does.
    """
    code = _identify(root)
    with suppress(OSError, ValueError, KeyError, TypeError):
        stored = json.loads(store.read_text(encoding="utf-8"))
        if stored["code"] == code:
            return dict(stored["digests"])
    programs = [path for path in root.glob("*/*.py") if not (path.parent / "__init__.py").exists()]
    digests = {
        path.relative_to(root).with_suffix("").as_posix(): code_digest(path, root)
        for path in sorted(programs)
    }
    with suppress(OSError, InputError):
        store.parent.mkdir(parents=True, exist_ok=True)
        write_text(store, json.dumps({"code": code, "digests": digests}))
    return digests


def _identify(root: Path) -> str:
    """Return a checksum of all code below `root`, and of the Python that reads it."""
    checksum = sha256(platform.python_version().encode())
    for path in sorted(root.rglob("*.py")):
        content = path.read_bytes()
        checksum.update(f"{path.relative_to(root)} {len(content)} ".encode() + content)
    return checksum.hexdigest()
