"""The garbage collector's freeze, which keeps a loaded model out of full collections."""

from __future__ import annotations

import gc


def settle() -> None:
    """Collect once, and leave all that is there by now out of later collections.

    To be called when a version has been loaded and warmed. It and its libraries are some hundred
    thousand objects that stay to the end; each full collection would walk through them, and nobody is
    answered, or timed truly, in the 150 to 220 ms that this takes.
    """
    gc.collect()
    gc.freeze()
