"""Typing: what a signature says of rows, and rows as a model is handed them."""
