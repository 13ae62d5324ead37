"""The messages that a user can meet, read from the source without running it.

Values that a message fills in are an ellipsis here and on the page of messages.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

from shadowserve import errors

PACKAGE = Path(errors.__file__).parent
_CLASS = re.compile(r"^class (\w+)\(([^)]*)\)", re.MULTILINE)


def _errors() -> frozenset[str]:
    """Return the names of `ShadowserveError` and of all that derive from it, wherever they are."""
    classes = [
        found for path in PACKAGE.rglob("*.py") for found in _CLASS.findall(path.read_text())
    ]
    known, before = {errors.ShadowserveError.__name__}, 0
    while len(known) > before:
        before = len(known)
        known |= {name for name, bases in classes if known & set(re.findall(r"\w+", bases))}
    return frozenset(known)


ERRORS = _errors()
BUILT = {"UnreadableError", "DamagedError"}
"""Errors that word their message themselves; their class holds it."""
TOLD_BY_LINE = ("settings/", "labels/", "supervisor/refusals.py")
"""Where faults are also yielded, collected or raised as built-in errors, to be told together."""
REFUSED = "refused"
"""The console's function that answers with a code and a message."""
SAID = {"say", "_say", "_give_up", "refuse", "_refuse"}
"""What the supervisor's modules call to tell of something that goes on, or to refuse a command."""
VALUE = "…"
_LEAST_WORDS = 3


@dataclass(frozen=True, order=True, slots=True)
class Message:
    """One message of the source.

    Parameters
    ----------
    text : str
        With an ellipsis for each value.
    place : str
        The first line that says it, as ``path:line`` below the package.
    """

    text: str
    place: str


@cache
def messages() -> tuple[Message, ...]:
    """Return every message, each text once."""
    found: dict[str, Message] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        for line, text in _said(ast.parse(path.read_text()), name):
            if len(text.replace(VALUE, " ").split()) >= _LEAST_WORDS:
                found.setdefault(text, Message(text, f"{name}:{line}"))
    return tuple(sorted(found.values()))


@cache
def codes() -> frozenset[str]:
    """Return every code that a refusal over HTTP may have."""
    found = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _name(node.func) in ERRORS:
                given = (word.value for word in node.keywords if word.arg == "code")
                found |= {code for value in given for code in _constants(value)}
            elif isinstance(node, ast.Call) and _name(node.func) == REFUSED and node.args:
                found |= set(_constants(node.args[0]))
            elif isinstance(node, ast.Call):
                found |= {
                    code
                    for word in node.keywords
                    if word.arg == "code"
                    for code in _constants(word.value)
                }
    return frozenset(found)


def _said(tree: ast.Module, name: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each message in a module."""
    for scope in _scopes(tree):
        assigned = _assigned(scope)
        for node in _own(scope):
            for part in _parts(node, name):
                for text in _texts(part, assigned):
                    yield node.lineno, _neat(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name in BUILT:
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("__init__"):
                    yield from ((call.lineno, _neat(t)) for a in call.args for t in _texts(a, {}))


def _parts(node: ast.AST, name: str) -> Iterator[ast.expr]:
    """Yield the expressions of a node that say something to a user."""
    if isinstance(node, ast.Call):
        called = _name(node.func)
        if called in ERRORS - BUILT and node.args:
            yield node.args[0]
        elif called in SAID and name.startswith("supervisor/"):
            yield from node.args
        elif called == REFUSED and len(node.args) > 1:
            yield node.args[1]
        elif called == "append" and node.args and name.startswith(TOLD_BY_LINE):
            yield node.args[0]
    elif name.startswith(TOLD_BY_LINE):
        if isinstance(node, ast.Yield) and node.value is not None:
            yield node.value
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield from node.exc.args[:1] if _name(node.exc.func) == "ValueError" else ()


def _scopes(tree: ast.Module) -> Iterator[ast.AST]:
    yield tree
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield a scope's nodes, without those of the functions inside it."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
            waiting += ast.iter_child_nodes(node)


def _assigned(scope: ast.AST) -> dict[str, list[ast.expr]]:
    """Return what a scope's plain names are set to."""
    found: dict[str, list[ast.expr]] = {}
    for node in _own(scope):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
    return found


def _texts(node: ast.expr, assigned: dict[str, list[ast.expr]]) -> list[str]:
    """Return the texts that an expression may be; none where it is no text of the source."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return ["".join(parts) for parts in product(*(_filled(p, assigned) for p in node.values))]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _texts(node.left, assigned), _texts(node.right, assigned)
        return [a + b for a in left or [VALUE] for b in right or [VALUE]] if left or right else []
    if isinstance(node, ast.IfExp):
        return _texts(node.body, assigned) + _texts(node.orelse, assigned)
    if isinstance(node, ast.Name):
        others = {name: values for name, values in assigned.items() if name != node.id}
        return [text for value in assigned.get(node.id, []) for text in _texts(value, others)]
    return []


def _filled(part: ast.expr, assigned: dict[str, list[ast.expr]]) -> list[str]:
    """Return what a part of a formatted text may be; a sentence that was made before is spelt out."""
    if isinstance(part, ast.Constant):
        return [str(part.value)]
    name = part.value if isinstance(part, ast.FormattedValue) else part
    spelt = _texts(name, assigned) if isinstance(name, ast.Name) else []
    sentences = [text for text in spelt if len(text.replace(VALUE, " ").split()) > 1]
    return [*sentences, VALUE] if not sentences or VALUE in spelt else sentences


def _constants(node: ast.expr) -> list[str]:
    texts = _texts(node, {})
    return [text for text in texts if re.fullmatch(r"[a-z_]+", text)]


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Name):
        return function.id
    return function.attr if isinstance(function, ast.Attribute) else ""


def _neat(text: str) -> str:
    return " ".join(re.sub(f"{VALUE}+", VALUE, text).split())
