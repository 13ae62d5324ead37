"""What the data plane takes and answers, as an OpenAPI document made from the model's signature.

The typing rule in the form that clients' generators and fuzzers read: a column's type becomes a JSON
Schema, and every route says each status that it may answer.
"""

from __future__ import annotations

from shadowserve.serving.openapi.paths import document

__all__ = ["document"]
