"""The garbage collector's freeze, which keeps a loaded model out of full collections."""

from __future__ import annotations

import gc


def settle() -> None:
    """Collect once, and leave all that is there by now out of later collections.

    To be called when a version has been loaded and warmed. It and its libraries are some hundred
    thousand objects that stay to the end. A full collection walks through all of them, which takes
    150 to 220 ms. Meanwhile nobody is answered, or timed truly.
    """
    gc.collect()
    gc.freeze()
