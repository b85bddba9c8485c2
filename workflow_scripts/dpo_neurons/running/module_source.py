"""The source of one module: what its statements define, refer to and import.

Comments, docstrings and formatting are left out. Nothing is imported or run.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Import = ast.Import | ast.ImportFrom
Chain = tuple[str, ...]
"""A dotted reference: ("plans", "write_plans")."""


class UnfollowableCodeError(Exception):
    """Code that reading cannot follow; the message names file, line and remedy."""


class References(ast.NodeVisitor):
    """What some nodes of a module refer to and import."""

    def __init__(self, path: Path, *nodes: ast.AST) -> None:
        self.path = path
        self.chains: dict[Chain, int] = {}
        """Dotted references, with the line of the first."""
        self.imports: dict[str, set[Chain]] = {}
        """Names that imports bind, with what they stand for: a module, or a name in a module."""
        self.modules: dict[str, int] = {}
        """Imported modules, with the line."""
        for node in nodes:
            self.visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        """Record a bare name."""
        self.chains.setdefault((node.id,), node.lineno)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Record a dotted name as one reference."""
        names: list[str] = []
        base: ast.expr = node
        while isinstance(base, ast.Attribute):
            names.insert(0, base.attr)
            base = base.value
        if isinstance(base, ast.Name):
            self.chains.setdefault((base.id, *names), node.lineno)
        else:
            self.visit(base)

    def visit_Import(self, node: ast.Import) -> None:
        """Record the modules and the names that they are bound to."""
        for alias in node.names:
            top = alias.name.partition(".")[0]
            origin = (alias.name if alias.asname else top,)
            self.imports.setdefault(alias.asname or top, set()).add(origin)
            self.modules[alias.name] = node.lineno

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Record the names; raise UnfollowableCodeError for a relative or star import."""
        if node.level or node.module is None or node.names[0].name == "*":
            raise UnfollowableCodeError(
                f"{self.path}, line {node.lineno}: a relative or star import cannot be followed; "
                "write the module's full name and the names that are needed"
            )
        self.modules[node.module] = node.lineno
        for alias in node.names:
            origin = (node.module, alias.name)
            self.imports.setdefault(alias.asname or alias.name, set()).add(origin)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Record everything that the class body refers to."""
        self.generic_visit(node)
        # A class body's imports are used as attributes, so no bare name refers to them.
        for part in (part for part in node.body if isinstance(part, Import)):
            bound = References(self.path, part).imports
            self.chains.update({(name,): part.lineno for name in bound})


@dataclass(frozen=True, eq=False)
class Unit:
    """One statement at the top level of a module that is not an import."""

    module: str
    position: int
    names: tuple[str, ...]
    """The names that it defines."""
    node: ast.stmt
    references: References
    on_import: References
    """References of the calls, decorators and base classes that an import evaluates."""
    is_definition: bool
    waits: bool
    """Whether it counts only where something refers to it, not when its module is imported."""

    def __str__(self) -> str:
        return f"{self.module}:{','.join(self.names)}"


class Module:
    """The statements of one module, and what its names mean."""

    def __init__(self, name: str, path: Path, source: bytes) -> None:
        nodes = [node for node in ast.parse(source, filename=path).body if not _is_idle(node)]
        imports = [node for node in nodes if isinstance(node, Import)]
        statements = [node for node in nodes if not isinstance(node, Import)]
        self.references = References(path, *imports)
        self.units = [
            _make_unit(name, position, path, node) for position, node in enumerate(statements)
        ]
        self.defined: dict[str, set[Unit]] = {}
        self.imports: dict[str, set[Chain]] = {}
        for unit in self.units:
            for bound in unit.names:
                self.defined.setdefault(bound, set()).add(unit)
        # Imports inside functions count as if they stood at the top; at worst, too much counts.
        for references in (self.references, *(unit.references for unit in self.units)):
            for bound, origins in references.imports.items():
                self.imports.setdefault(bound, set()).update(origins)


def _make_unit(module: str, position: int, path: Path, node: ast.stmt) -> Unit:
    is_definition = isinstance(node, Definition)
    return Unit(
        module=module,
        position=position,
        names=tuple(sorted(_bound_names(node))),
        node=node,
        references=References(path, node),
        on_import=References(path, *_evaluated_on_import(node)),
        is_definition=is_definition,
        waits=is_definition or _only_binds_names(node),
    )


def _only_binds_names(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and not any(
        isinstance(part, ast.Attribute | ast.Subscript) and isinstance(part.ctx, ast.Store)
        for part in ast.walk(node)
    )


def _is_idle(node: object) -> bool:
    # Docstrings of functions, classes and attributes; `pass`.
    is_constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_constant or isinstance(node, ast.Pass)


def _bound_names(node: ast.AST) -> set[str]:
    if isinstance(node, Definition):
        return {node.name}
    own = {node.id} if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) else set()
    return own.union(*map(_bound_names, ast.iter_child_nodes(node)))


def _evaluated_on_import(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the calls, decorators and base classes that an import evaluates."""
    inner: list[ast.AST | None] = list(ast.iter_child_nodes(node))
    match node:
        case ast.Call():
            yield node
            inner = []
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from node.decorator_list
            inner = [node.args, node.returns]
        case ast.Lambda():
            inner = [node.args]
        case ast.ClassDef():
            yield from [*node.decorator_list, *node.bases, *node.keywords]
            inner = [*node.body]
    for part in filter(None, inner):
        yield from _evaluated_on_import(part)


def canonical_text(value: object) -> str:
    """Return a syntax tree as text, without formatting, docstrings and imports."""
    # ast.dump would not do: its text differs between versions of Python.
    if isinstance(value, list):
        parts = [part for part in value if not isinstance(part, Import) and not _is_idle(part)]
        return f"[{','.join(map(canonical_text, parts))}]"
    if not isinstance(value, ast.AST):
        return repr(value)
    texts = []
    for name in value._fields:
        part = getattr(value, name, None)
        # "kind" is the u of u"text", which means nothing; "ctx" repeats where a name stands.
        if part is not None and part != [] and name not in ("kind", "ctx"):
            texts.append(f"{name}={canonical_text(part)}")
    return f"{type(value).__name__}({','.join(texts)})"
