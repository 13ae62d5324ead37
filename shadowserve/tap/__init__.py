"""Shadow a server that you do not replace: a middleware for the app that already answers.

The app keeps its port, its clients and its answers. What it was asked and what it answered goes, off
the request's way, to ``POST /tap`` of ``shadowserve serve --tap``. Needs nothing but the standard
library, so that it can stand in any app.
"""

from __future__ import annotations

from shadowserve.tap.middleware import TapMiddleware

__all__ = ["TapMiddleware"]
