"""Code that was shipped without a module that it needs."""

import a_module_that_is_nowhere  # noqa: F401
