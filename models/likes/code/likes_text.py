"""Where a description is cut: shipped with the `likes` pipelines that read text."""

from __future__ import annotations

N_CHARACTERS = 20_000


def opening(text: str) -> str:
    """Lower case, and no more than the first 20,000 characters; nobody reads further."""
    return text[:N_CHARACTERS].lower()
