"""The package's front is about a dozen names, sorted, and each is there."""

from __future__ import annotations

import shadowserve

EXPORTS = tuple(getattr(shadowserve, "__all__", ()))


def test_exports_are_few_and_sorted():
    assert list(EXPORTS) == sorted(set(EXPORTS))
    assert len(EXPORTS) <= 16


def test_every_export_exists_and_says_what_it_is():
    for name in EXPORTS:
        assert (getattr(shadowserve, name).__doc__ or "").strip(), name


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(shadowserve, "no_such_name")
