"""Settings: flags before environment before file, checked before anything starts."""
