"""A report of few lines, and what a reader of its page sees."""

from __future__ import annotations

from html.parser import HTMLParser

TIMES = {"p50_ms": 0.05, "p90_ms": 0.2, "p99_ms": None, "max_ms": 1399.5}
QUIET = {"champion": {"version": 3, "answered": 7}, "journal": {"appended": 7, "append_failed": 0}}


def lane(role: str, version: int) -> dict:
    counts = dict.fromkeys(
        ("both_ok", "challenger_error", "champion_error", "both_error", "timed_out", "crashed"), 0
    )
    return {
        **counts,
        "role": role,
        "version": version,
        "state": "running",
        "reason": None,
        "sampled_out": 0,
        "skipped": {"paused": 0, "budget": 2},
        "pending": 1,
    }


def finding(**changes) -> dict:
    return {
        "kind": "slow_feature",
        "severity": "critical",
        "message": "Step 'phrases' gets slow.",
        "where": {
            "role": "challenger",
            "step": "phrases",
            "columns": ["description"],
            "slice": None,
            "items": [],
            "output": None,
        },
        "effect": {
            "measure": "exponent",
            "value": 1.8,
            "low": 1.7,
            "high": 1.9,
            "unit": "",
            "baseline": None,
            "baseline_role": None,
        },
        "since": 12,
        "examples": [1410],
        **changes,
    }


def report(**changes) -> dict:
    feature = {
        "role": "challenger",
        "step": "phrases",
        "n": 392,
        "share": 0.5,
        "growth": {"column": "description", "exponent": 1.8, "superlinear": True},
        **TIMES,
    }
    limit = {"name": "coverage", "state": "undecided", "says": "7 of 1000.", "more": 993}
    return {
        "schema": "shadowserve/report/1",
        "deployment": "films-1",
        "model": "films",
        "champion": 3,
        "challenger": 4,
        "requests": 7,
        "compared": 7,
        "rate_per_s": 1.5,
        "windows": 1,
        "verdict": "continue",
        "judgement": {"limits": [limit]},
        "findings": [finding()],
        "divergence": {},
        "features": [feature],
        "slices": [],
        "slow_requests": [],
        "ledger": {**QUIET, "lanes": [lane("challenger", 4)], "balanced": True},
        **changes,
    }


class Reader(HTMLParser):
    """Collects a page's elements and its text, and finds what is left open."""

    VOID = ("meta", "link", "img", "br", "input")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements, self.attributes, self.open, self.text = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def text_of(page: str) -> str:
    return " ".join(Reader(page).text)
