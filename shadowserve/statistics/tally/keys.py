"""Labels and ids as dictionary keys and as text, so that what differs in JSON stays apart.

Python takes 1, 1.0 and True for one key. In an answer 1 and 1.0 are one id, true is another, and
"1" a third.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

# Types, not instances: a boolean is an int to Python, and no integer in JSON.
_SIMPLE = ({int}, {str})


def one_simple_type(items: Iterable[Any]) -> bool:
    """Whether all items are integers, or all are strings: such are keys as they stand."""
    return set(map(type, items)) in _SIMPLE


def as_key(item: Any) -> Any:
    """Return a hashable key of a JSON value: integers and strings as they are, else its text."""
    if type(item) in (int, str):
        return item
    if type(item) is float and item.is_integer():
        return int(item)
    return (as_text(item),)


def key_text(key: Any) -> str:
    """Return the text of a key's value."""
    return key[0] if type(key) is tuple else as_text(key)


def text_key(text: str) -> Any:
    """Return the key of a value's text: the reverse of `key_text`."""
    value = json.loads(text)
    return value if type(value) in (int, str) else (text,)


def as_text(value: Any) -> str:
    """Write a JSON value so that 1 and "1" stay apart, and 1 and 1.0 do not; NaN is null."""
    if type(value) is int:
        return str(value)
    if isinstance(value, float):
        value = None if not math.isfinite(value) else int(value) if value.is_integer() else value
    try:
        return json.dumps(value, sort_keys=True, default=str, allow_nan=False)
    except (TypeError, ValueError):  # NaN inside a list, or keys of several types
        return json.dumps(repr(value))


def class_key(label: Any) -> str:
    """Return a class or label as the key of its probability; 1, 1.0 and true are one class.

    Examples
    --------
    >>> class_key(1.0), class_key(True), class_key("yes")
    ('1', '1', '"yes"')
    """
    if type(label) is int:
        return str(label)
    if isinstance(label, bool) or (isinstance(label, float) and label.is_integer()):
        label = int(label)
    return json.dumps(label)
