"""A version scored in an environment of its own: by another process, with the libraries that it was trained with."""
