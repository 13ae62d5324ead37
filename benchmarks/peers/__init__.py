"""shadowserve beside other servers of the same models, in one run."""
