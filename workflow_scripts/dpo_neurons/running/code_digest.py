"""Digests of the code that a program runs: a changed digest reruns the rule.

Snakemake notices a changed rule or script, but not a changed module that the script imports. It
also reruns a script that was only touched. A digest among the rule's params solves both. It covers
every definition that the program can reach, in any module. It leaves out comments, docstrings,
formatting and time stamps.

The code is read, never imported. Where reading cannot tell what will run, the digest covers more.
A name that a local variable shadows still counts. If a module is passed around as an object, all
of the module counts. Relative imports, star imports and imports by a computed name cannot be
followed and raise an error. Code below the programs' folder is covered; of other libraries the
digest covers only the names.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from dpo_neurons.running.module_source import (
    Chain,
    Module,
    References,
    UnfollowableCodeError,
    Unit,
    canonical_text,
)

DIGEST_CHARACTERS = 16
COMPUTED_NAMES = re.compile(
    r"(__import__|eval|exec|globals|builtins|runpy|pkgutil|sys\.modules"
    r"|importlib(?!\.(metadata|resources|util\.find_spec)\b))(\.|$)"
)


def code_digest(program: Path, root: Path) -> str:
    """Return the digest of all code below `root` that a program can run.

    The program's file must itself be below `root`.
    Raises FileNotFoundError for a missing program. Raises UnfollowableCodeError if reached code
    imports by a computed name, relatively, with a star, or a module that does not exist.
    """
    tree, units = _find_reached(program, root)
    return sha256(b"".join(map(tree.digest, units))).hexdigest()[:DIGEST_CHARACTERS]


def reached_definitions(program: Path, root: Path) -> set[tuple[str, str]]:
    """Return what the digest covers: pairs of a module and a top-level name.

    Statements that define no name appear as "<module>". Raises the same errors as `code_digest`.
    """
    _, units = _find_reached(program, root)
    return {(unit.module, name) for unit in units for name in unit.names or ("<module>",)}


def _find_reached(program: Path, root: Path) -> tuple["_Tree", list[Unit]]:
    """Return the modules below `root`, and the statements that the program can reach."""
    program, root = program.resolve(), root.resolve()
    if not program.is_file():
        raise FileNotFoundError(f"{program}: no such program; check its path")
    # An editor's lock file may be a dangling link that ends in .py.
    paths = sorted(path for path in root.rglob("*.py") if path.is_file())
    tree = _read_tree(root, tuple((path, path.read_bytes()) for path in paths))
    return tree, tree.reached_from(".".join(program.relative_to(root).with_suffix("").parts))


@lru_cache(maxsize=4)
def _read_tree(root: Path, sources: tuple[tuple[Path, bytes], ...]) -> "_Tree":
    # The cache's key is the content: an edited file is read again, a touched one is not.
    return _Tree(root, sources)


@dataclass(frozen=True)
class _Named:
    name: str


class _External(_Named):
    """A name of another library, in full."""


class _Whole(_Named):
    """A module of this project that is used as an object: anything in it may be used."""


class _Imported(_Named):
    """A module of this project whose top level runs."""


Target = Unit | _External | _Whole | _Imported


class _Tree:
    """All modules below the programs' folder, each parsed when first reached."""

    def __init__(self, root: Path, sources: tuple[tuple[Path, bytes], ...]) -> None:
        self._sources: dict[str, tuple[Path, bytes]] = {}
        for path, source in sources:
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            self._sources[name] = (path, source)
        self._modules: dict[str, Module] = {}
        self._next: dict[Target, set[Target]] = {}
        self._digests: dict[Unit, bytes] = {}

    def reached_from(self, program: str) -> list[Unit]:
        """Return the statements that a program reaches, in canonical order."""
        waiting: list[Target] = [_Imported(program), *self._module(program).units]
        reached: set[Target] = set()
        while waiting:
            target = waiting.pop()
            if target not in reached:
                reached.add(target)
                if target not in self._next:
                    self._next[target] = self._reached_by(target)
                waiting += self._next[target]

        def order(unit: Unit) -> tuple[str, tuple[str, ...], int]:
            # Statements that run on import keep their order; other definitions are sorted by name.
            waits = unit.is_definition and not unit.on_import.chains
            return unit.module, unit.names if waits else (), unit.position

        return sorted((target for target in reached if isinstance(target, Unit)), key=order)

    def digest(self, unit: Unit) -> bytes:
        """Return the digest of a unit and of the meanings of the names in it.

        Comments, docstrings and formatting are left out.
        """
        if unit not in self._digests:
            meanings = [
                f"{'.'.join(chain)}={' '.join(sorted(map(str, targets)))}"
                for chain, targets in self._meanings(unit.module, unit.references).items()
                if targets
            ]
            text = " ".join([str(unit), canonical_text(unit.node), *sorted(meanings)])
            self._digests[unit] = sha256(text.encode()).digest()
        return self._digests[unit]

    def _module(self, name: str) -> Module:
        if name not in self._modules:
            self._modules[name] = Module(name, *self._sources[name])
        return self._modules[name]

    def _reached_by(self, target: Target) -> set[Target]:
        """Return the targets that one target refers to or imports directly."""
        match target:
            case Unit(module=name, references=references):
                meanings = self._meanings(name, references)
                _refuse_computed_names(references, meanings)
                return self._imported_by(references).union(*meanings.values())
            case _Imported(name):
                module = self._module(name)
                run = (unit for unit in module.units if self._counts_on_import(unit))
                return self._imported_by(module.references).union(run)
            case _Whole(name):
                module = self._module(name)
                origins: set[Chain] = set().union(*module.imports.values())
                children = (path for path in self._sources if path.rpartition(".")[0] == name)
                below = map(_Whole, children)
                whole: set[Target] = {_Imported(name), *module.units, *below}
                return whole.union(*map(self._follow, origins))
        return set()

    def _imported_by(self, references: References) -> set[Target]:
        names = {".".join(origin) for origins in references.imports.values() for origin in origins}
        names &= self._sources.keys()
        for module, line in references.modules.items():
            parts = module.split(".")
            packages = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
            missing = packages - self._sources.keys()
            if parts[0] in self._sources and missing:
                raise UnfollowableCodeError(
                    f"{references.path}, line {line}: no file for {min(missing)}; "
                    "check the import, and that each package has its __init__.py"
                )
            names |= packages - missing
        return set(map(_Imported, names))

    def _counts_on_import(self, unit: Unit) -> bool:
        meanings = self._meanings(unit.module, unit.on_import).values()
        targets = (target for meaning in meanings for target in meaning)
        return not unit.waits or any(not isinstance(target, _External) for target in targets)

    def _meanings(self, module: str, references: References) -> dict[Chain, set[Target]]:
        """Return the possible meanings of a module's references; locals have none."""
        return {chain: self._members(module, chain) for chain in references.chains}

    def _members(
        self, module: str, chain: Chain, seen: frozenset[Chain] = frozenset()
    ) -> set[Target]:
        imports = self._module(module).imports.get(chain[0], ())
        inner = (self._follow(origin + chain[1:], seen) for origin in imports)
        return self._module(module).defined.get(chain[0], set()).union(*inner)

    def _follow(self, path: Chain, seen: frozenset[Chain] = frozenset()) -> set[Target]:
        """Return what a module's name and the attributes after it may mean.

        Names that a module imports and passes on are followed to where they are defined.
        """
        module, *attributes = path
        if module not in self._sources:
            return {_External(".".join(path))}
        if not attributes:
            return {_Whole(module)}
        if path in seen:
            return set()
        targets = self._members(module, tuple(attributes), seen | {path})
        below = f"{module}.{attributes[0]}"
        if below in self._sources:
            targets |= self._follow((below, *attributes[1:]), seen)
        return targets or {_Whole(module)}


def _refuse_computed_names(references: References, meanings: dict[Chain, set[Target]]) -> None:
    for chain, line in references.chains.items():
        named = {target.name for target in meanings[chain] if isinstance(target, _External)}
        for name in named if meanings[chain] else {".".join(chain)}:
            if COMPUTED_NAMES.match(name):
                raise UnfollowableCodeError(
                    f"{references.path}, line {line}: {name} finds code by a computed name, which "
                    "cannot be followed; use an import statement or a table of functions"
                )
