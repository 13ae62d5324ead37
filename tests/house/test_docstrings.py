"""Every public thing says what it is; what raises one of our errors says so."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from sources import modules, tree

from shadowserve import errors

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
ERRORS = {name for name, value in vars(errors).items() if isinstance(value, type)}


def public(node: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    """Public classes and functions of a module, and public methods of its public classes."""
    for child in node.body:
        if isinstance(child, Definition) and not child.name.startswith("_"):
            yield child
            if isinstance(child, ast.ClassDef):
                yield from public(child)


def raises_on_purpose(node: Definition) -> set[str]:
    """Names of our own errors whose raising is written in the body itself."""
    calls = (part.exc for part in ast.walk(node) if isinstance(part, ast.Raise))
    functions = (call.func for call in calls if isinstance(call, ast.Call))
    return {function.id for function in functions if isinstance(function, ast.Name)} & ERRORS


def test_every_module_class_and_function_has_a_docstring():
    bare = []
    for path in modules().values():
        found = tree(path)
        bare += [] if ast.get_docstring(found) else [f"{path}: the module"]
        bare += [f"{path}:{n.lineno}: {n.name}" for n in public(found) if not _documented(n)]
    assert not bare, "without a docstring:\n" + "\n".join(bare)


def _documented(node: Definition) -> bool:
    """A setter is documented by its property, an overload by what it overloads."""
    decorators = {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}
    return bool(decorators & {"overload", "setter"} or ast.get_docstring(node))


def test_a_function_that_raises_has_a_section_for_it():
    silent = [
        f"{path}:{node.lineno}: {node.name} raises {', '.join(sorted(raises_on_purpose(node)))}"
        for path in modules().values()
        for node in public(tree(path))
        if not isinstance(node, ast.ClassDef)
        and raises_on_purpose(node)
        and "Raises\n" not in (ast.get_docstring(node) or "")
    ]
    assert not silent, "without a section 'Raises':\n" + "\n".join(silent)
