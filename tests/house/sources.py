"""The project's own source files and what they import, read without running them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "shadowserve"


@dataclass(frozen=True)
class Import:
    """One import statement's target, as written in one line of one module."""

    module: str
    target: str
    path: Path
    line: int

    def __str__(self) -> str:
        text = self.path.read_text().splitlines()[self.line - 1].strip()
        return f"{self.path.relative_to(ROOT)}:{self.line}: {text}"


@cache
def modules() -> dict[str, Path]:
    """Every module's dotted name below the package, '' being the package itself."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(path.read_text(), str(path))


@cache
def imports() -> tuple[Import, ...]:
    """Every import in the package, also those inside functions and below TYPE_CHECKING."""
    return tuple(found for name, path in modules().items() for found in _imports_of(name, path))


def _imports_of(name: str, path: Path) -> Iterator[Import]:
    package = [PACKAGE, *filter(None, name.split("."))]
    if path.stem != "__init__":
        package.pop()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, alias.name, path, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                yield Import(name, f"{base}.{alias.name}", path, node.lineno)


def own(target: str) -> str | None:
    """The module of ours that a target names, None for a stranger's.

    ``shadowserve.errors.PinError`` is in ``errors``; ``shadowserve.step`` is in the root, ''.
    """
    head, _, rest = target.partition(".")
    if head != PACKAGE:
        return None
    while rest and rest not in modules():
        rest = rest.rpartition(".")[0]
    return rest
