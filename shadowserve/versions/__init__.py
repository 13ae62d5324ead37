"""Versions: a pin resolved in the registry, its files fetched and verified, its origins read."""
