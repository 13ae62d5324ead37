"""Recorded traffic sent again: by whose clock, to whom, what became of it, and what breaks first."""
