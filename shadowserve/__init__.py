"""Shadow serving (dark launch) for machine-learning models."""
