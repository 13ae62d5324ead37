"""The report as a page: for a browser beside the console, and as an artifact that opens from MLflow.

It shows what the report holds and nothing else. As an artifact it needs no script and fetches nothing: style
and pictures are in it. The console serves the same parts and renews them.
"""

from __future__ import annotations

from shadowserve.report.page.document import render

__all__ = ["render"]
