"""Typing: the columns of a signature, and rows as a model takes them."""
