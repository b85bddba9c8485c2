"""Digests of the code that a program runs, so that a rule is rerun when that code changes.

Snakemake notices a changed rule or script, but not a changed module that the script imports, and
it reruns a script that was only touched. A digest as a param of the rule mends both: it covers
every definition that the program can reach, in whichever module, and leaves out comments,
docstrings, formatting and time stamps.

The code is read, never imported. Where reading cannot tell what will run, the digest covers more:
a name that a local variable shadows still counts, and so does all of a module that is passed
around as an object. What reading cannot follow at all (relative or star imports, import by a
computed name) is an error. Code below the program's folder is ours; of other code the name counts.
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
    canonical,
)

DIGEST_CHARACTERS = 16
COMPUTED_NAMES = re.compile(
    r"(__import__|eval|exec|globals|builtins|runpy|pkgutil|sys\.modules"
    r"|importlib(?!\.(metadata|resources|util\.find_spec)\b))(\.|$)"
)


def code_digest(program: Path, root: Path) -> str:
    """Digest of all code below `root` that the program at this path, itself below it, can run.

    Raises FileNotFoundError for a missing program and UnfollowableCodeError for reached code that
    imports by a computed name, relatively, with a star, or what is not there.
    """
    tree, units = _reached(program, root)
    return sha256(b"".join(map(tree.digest, units))).hexdigest()[:DIGEST_CHARACTERS]


def reached_definitions(program: Path, root: Path) -> set[tuple[str, str]]:
    """List what the digest covers: pairs of a module and a name defined at its top level.

    Statements that define no name appear as "<module>". Raises what code_digest raises.
    """
    _, units = _reached(program, root)
    return {(unit.module, name) for unit in units for name in unit.names or ("<module>",)}


def _reached(program: Path, root: Path) -> tuple["_Tree", list[Unit]]:
    program, root = program.resolve(), root.resolve()
    if not program.is_file():
        raise FileNotFoundError(f"{program}: no such program; check its path")
    # An editor's lock file may be a dangling link that ends in .py.
    paths = sorted(path for path in root.rglob("*.py") if path.is_file())
    tree = _tree(root, tuple((path, path.read_bytes()) for path in paths))
    return tree, tree.reached_from(".".join(program.relative_to(root).with_suffix("").parts))


@lru_cache(maxsize=4)
def _tree(root: Path, sources: tuple[tuple[Path, bytes], ...]) -> "_Tree":
    # Keyed by content: an edited file is read again, a touched one is not.
    return _Tree(root, sources)


@dataclass(frozen=True)
class _Named:
    name: str


class _External(_Named):
    """Something that is not ours, by its full name."""


class _Whole(_Named):
    """A module of ours as an object: anything in it may be used."""


class _Imported(_Named):
    """A module of ours whose top level runs."""


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
        """Find what a program reaches, in canonical order."""
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
            # The order of what runs on import matters, that of other definitions does not.
            waits = unit.is_definition and not unit.on_import.chains
            return unit.module, unit.names if waits else (), unit.position

        return sorted((target for target in reached if isinstance(target, Unit)), key=order)

    def digest(self, unit: Unit) -> bytes:
        """Digest of a unit without comments, docstrings and formatting, and of what names mean."""
        if unit not in self._digests:
            meanings = [
                f"{'.'.join(chain)}={' '.join(sorted(map(str, targets)))}"
                for chain, targets in self._meanings(unit.module, unit.references).items()
                if targets
            ]
            text = " ".join([str(unit), canonical(unit.node), *sorted(meanings)])
            self._digests[unit] = sha256(text.encode()).digest()
        return self._digests[unit]

    def _module(self, name: str) -> Module:
        if name not in self._modules:
            self._modules[name] = Module(name, *self._sources[name])
        return self._modules[name]

    def _reached_by(self, target: Target) -> set[Target]:
        """One step further."""
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
                below = (_Whole(each) for each in self._sources if each.rpartition(".")[0] == name)
                whole: set[Target] = {_Imported(name), *module.units, *below}
                return whole.union(*map(self._follow, origins))
        return set()

    def _imported_by(self, references: References) -> set[Target]:
        names = {".".join(origin) for each in references.imports.values() for origin in each}
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
        is_ours = (not isinstance(target, _External) for each in meanings for target in each)
        return not unit.waits or any(is_ours)

    def _meanings(self, module: str, references: References) -> dict[Chain, set[Target]]:
        """What references in a module may mean; locals and builtins mean nothing."""
        return {chain: self._members(module, chain) for chain in references.chains}

    def _members(
        self, module: str, chain: Chain, seen: frozenset[Chain] = frozenset()
    ) -> set[Target]:
        imports = self._module(module).imports.get(chain[0], ())
        inner = (self._follow(origin + chain[1:], seen) for origin in imports)
        return self._module(module).defined.get(chain[0], set()).union(*inner)

    def _follow(self, path: Chain, seen: frozenset[Chain] = frozenset()) -> set[Target]:
        """What a module's name and attributes after it may mean, through re-exports."""
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
                    f"{references.path}, line {line}: what {name} finds by a computed name cannot "
                    "be followed; use an import statement or a table of functions"
                )
