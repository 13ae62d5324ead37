"""What a console of four hundred columns prints."""

from __future__ import annotations

import io

from rich.console import Console


def printed(draw, *told, **options) -> str:
    file = io.StringIO()
    out = Console(
        file=file, width=400, height=25, force_terminal=True, color_system=None, **options
    )
    draw(*told, out)
    return file.getvalue()
