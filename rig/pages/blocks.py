"""The code blocks of README and documentation, and what each of them asks for when it is run.

A block's info string may hold, after the language,

- ``title="app.py"``: a file. It is written under that name, and commands below use it;
- ``data-shown="why"``, within braces as in ``{.sh data-shown="why"}``: only shown, with the reason why it cannot
  run here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROSE = ("text",)
"""Languages of what nobody runs: pictures, formulas, and what a command has printed."""
RUN = ("json", "python", "sh", "toml")
_FENCE = re.compile(r"^( *)```(?:\{\.)?([a-z]*)([^\n`]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_ENTRY = re.compile(r"\s*([-*]|\d+\.) ")
_WORD = re.compile(r'([a-z-]+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Parameters
    ----------
    page : str
        Path of its page, from the project's root.
    line : int
        Where it begins, counted from 1.
    language : str
    options : dict of str to str
        What its info string holds besides.
    text : str
    """

    page: str
    line: int
    language: str
    options: dict[str, str]
    text: str

    @property
    def place(self) -> str:
        """Where it stands, as editors write it."""
        return f"{self.page}:{self.line}"

    @property
    def title(self) -> str | None:
        """Name of the file that it is; None for what is no file."""
        return self.options.get("title")

    @property
    def shown(self) -> str | None:
        """Why it is only shown; None for what is run."""
        return self.options.get("data-shown")


def pages() -> list[Path]:
    """Return README, and every page of the documentation."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """Yield a page's blocks in their order."""
    text = page.read_text()
    for found in _FENCE.finditer(text):
        indent, language, info, body = found.groups()
        yield Block(
            page=str(page.relative_to(ROOT)),
            line=text.count("\n", 0, found.start()) + 1,
            language=language,
            options=dict(_WORD.findall(info)),
            text=re.sub(rf"^{indent}", "", body, flags=re.MULTILINE),
        )


def indented(page: Path) -> Iterator[str]:
    """Yield what a page shows as code without a fence, as ``page:line``: such blocks have no language."""
    text = _FENCE.sub(lambda found: "\n" * found.group(0).count("\n"), page.read_text())
    before, in_list = "", False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            # What is indented below an entry of a list belongs to it.
            in_list = bool(_ENTRY.match(line)) or (in_list and line.startswith(" "))
            if line.startswith("    ") and not before.strip() and not in_list:
                yield f"{page.relative_to(ROOT)}:{number}"
        before = line
