"""Arrays as JSON: thousands of counts as one text, where numbers one by one would triple a state file."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def packed(array: NDArray[Any]) -> dict[str, Any]:
    """Return an array of any dtype and shape as a JSON object, its bytes in base 64."""
    data = b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": data}


def unpacked(packed: Mapping[str, Any]) -> NDArray[Any]:
    """Read what `packed` wrote; the array may be written to."""
    flat = np.frombuffer(b64decode(packed["data"]), dtype=packed["dtype"])
    # A view of bytes is read-only, and these arrays are counted on.
    return flat.reshape(packed["shape"]).copy()
