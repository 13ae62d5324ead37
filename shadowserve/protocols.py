"""The ways of asking: how each types a body, encodes an answer, refuses, and is read again.

The data plane and the lanes use the same table, so that a lane types a journaled body exactly as
the champion did and compares answers in the form in which they left.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shadowserve import wire
from shadowserve.errors import RequestError
from shadowserve.rows import Rows
from shadowserve.schema import Schema
from shadowserve.wire import oip
