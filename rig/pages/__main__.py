"""Write the pages that are made from the code: ``python -m rig.pages``."""

from __future__ import annotations

from pathlib import Path

from rig.pages import settings_page

DOCS = Path(__file__).parents[2] / "docs"
MADE = {"settings.md": settings_page.text}


def main() -> None:
    """Write each page, and say which."""
    for name, text in MADE.items():
        (DOCS / name).write_text(text())
        print(f"docs/{name}")


if __name__ == "__main__":
    main()
