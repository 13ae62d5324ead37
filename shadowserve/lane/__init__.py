"""The lane: the process that scores the journal with one pinned version, in silence."""
