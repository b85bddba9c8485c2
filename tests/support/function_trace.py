"""Run a program and record which functions below a folder ran.

    python tests/support/function_trace.py OUT.json ROOT program.py [argument ...]

OUT.json gets a sorted list of [module, name], the name being the first part of the function's
qualified name: that of the top-level function or class it stands in. The program's own module goes
by its path below ROOT. Lambdas and comprehensions at a module's top level have no name and are left
out; so is what runs in other processes.
"""

import inspect
import json
import runpy
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType


def run_traced(root: Path, program: Path, arguments: list[str]) -> set[tuple[str, str]]:
    """Run a program as `python program.py` would, and return (module, name) of what ran in it.

    An exit of the program ends here unless it reports a failure.
    """
    root, program = root.resolve(), program.resolve()
    ran: dict[int, CodeType] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            # By identity: comparing code objects would slow every call.
            ran[id(frame.f_code)] = frame.f_code

    sys.argv = [str(program), *arguments]
    sys.path[0] = str(root)
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        runpy.run_path(str(program), run_name="__main__")
    except SystemExit as leaving:
        if leaving.code not in (None, 0):
            raise
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return {name for code in ran.values() if (name := _place(code, root))}


def _place(code: CodeType, root: Path) -> tuple[str, str] | None:
    path = Path(code.co_filename)
    name = code.co_qualname.partition(".")[0]
    # The bodies of modules and classes are code objects too, without this flag.
    is_function = code.co_flags & inspect.CO_OPTIMIZED
    if not is_function or name.startswith("<") or not path.is_relative_to(root):
        return None
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts), name


if __name__ == "__main__":
    out, root, program, *arguments = sys.argv[1:]
    # Before the program runs, for it may change the working directory.
    out_path = Path(out).resolve()
    out_path.write_text(
        json.dumps(sorted(run_traced(Path(root), Path(program), arguments))), encoding="utf-8"
    )
