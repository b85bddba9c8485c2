"""A program and its package given as text, for tests of which code a digest is of."""

from pathlib import Path

from dpo_neurons.running.code_digest import code_digest, reached_definitions

USE_LOAD = "from shared.plans import load\n\nprint(load(1))\n"
LOAD = "def load(path):\n    return path\n"


class Scripts:
    """A folder with a program and its package, both given as text."""

    def __init__(self, root: Path, program: str, **modules: str) -> None:
        self.root = root
        self.program = root / "make_thing.py"
        self.program.write_text(program, encoding="utf-8")
        self.write(__init__="")
        self.write(**modules)

    def write(self, **modules: str) -> None:
        """Write modules of the package; two underscores in a name stand for a sub-package."""
        for name, text in modules.items():
            package, _, module = name.rpartition("__") if name[0] != "_" else ("", "", name)
            path = self.root / "shared" / package / f"{module or '__init__'}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def changed(self, **modules: str) -> bool:
        """Whether the digest changes when these modules are written anew."""
        before = code_digest(self.program, self.root)
        self.write(**modules)
        return code_digest(self.program, self.root) != before

    @property
    def reached(self) -> set[str]:
        """What the program reaches in the package, as module.name without the package's."""
        reached = reached_definitions(self.program, self.root)
        return {f"{module}.{name}"[len("shared.") :] for module, name in reached if "." in module}
