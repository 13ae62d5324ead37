"""Rescoring: requests that were recorded before, scored by lanes as if callers asked them now."""
