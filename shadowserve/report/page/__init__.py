"""The report as a page: for a browser beside the console, and as an artifact that opens from MLflow.

It shows what the report holds and nothing else. It needs no script and fetches nothing: style and
figures are in it.
"""

from __future__ import annotations

from shadowserve.report.page.document import render, waiting

__all__ = ["render", "waiting"]
