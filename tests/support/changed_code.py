"""Changes of code that tests make to a copy of the project."""

import re
from pathlib import Path


def change_body(path: Path, name: str) -> None:
    """Put a statement in front of a function's first."""
    source = path.read_text(encoding="utf-8")
    pattern = rf'^( *)def {name}\((?s:.*?)\) -> [^\n]*:\n(?: *"""(?s:.*?)"""\n)?'
    start = re.search(pattern, source, re.MULTILINE)
    assert start, f"{path} has no function {name}"
    changed = f"{source[: start.end()]}{start[1]}    changed = 1\n{source[start.end() :]}"
    path.write_text(changed, encoding="utf-8")
