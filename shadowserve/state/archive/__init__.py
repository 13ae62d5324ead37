"""The archive: what the journal held, kept after every lane has read it, for teams that ask the past."""
