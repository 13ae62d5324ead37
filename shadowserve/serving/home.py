"""The data plane's own page: BentoML's viewer for its OpenAPI document, and nothing from elsewhere.

BentoML's page loads a third party's script. This one loads what BentoML's package has on disk.
"""

from __future__ import annotations

PATHS = ("", "/docs")
"""Where the page is, without a slash at the end."""
BEHIND = ("/docs.json", "/schema.json", "/healthz")
"""What BentoML itself answers, besides the files that the page loads."""
FILES = "/static_content/"

_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
HEAD = ((b"content-security-policy", _POLICY), (b"referrer-policy", b"no-referrer"))
"""Says so to the browser, whatever the viewer would like to load."""

PAGE = b"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>shadowserve</title>
<link rel="stylesheet" href="./static_content/swagger-ui.css">
<link rel="icon" type="image/png" href="./static_content/favicon-light-32x32.png">
</head>
<body>
<p style="font-family: sans-serif; margin: 1em 2em">This port answers with the champion's predictions.
All routes and their types: <a href="./openapi.json">openapi.json</a>. BentoML's route:</p>
<div id="swagger-ui"></div>
<script src="./static_content/swagger-ui-bundle.js" charset="utf-8"></script>
<script src="./static_content/swagger-ui-standalone-preset.js" charset="utf-8"></script>
<script src="./static_content/swagger-initializer.js" charset="utf-8"></script>
</body>
</html>
"""


def is_behind(path: str) -> bool:
    """Tell whether BentoML answers a path.

    Examples
    --------
    >>> is_behind("/docs.json"), is_behind("/static_content/index.css"), is_behind("/x")
    (True, True, False)
    """
    return path in BEHIND or path.startswith(FILES)
