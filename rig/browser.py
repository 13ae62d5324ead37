"""A real browser, Debian's Chromium, driven by Playwright: what people see, and pictures of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from rig.programs import program


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium for the length of a block; skip where it is not installed, fail in CI."""
    path = program("chromium", "chromium-browser", package="chromium")
    with sync_playwright() as playwright:
        # Its sandbox needs rights that a container lacks; it loads nothing but our own pages.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
