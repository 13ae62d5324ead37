"""Which version: a pin resolved in the registry, its files fetched, its origins told."""
