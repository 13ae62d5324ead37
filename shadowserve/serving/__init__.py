"""The data plane: a champion worker, from a request's bytes to its answer."""
