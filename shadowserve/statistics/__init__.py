"""Statistics in bounded memory that hold at every look."""
