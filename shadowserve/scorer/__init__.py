"""A version that scores: loaded, its featurization timed step by step, its answers cut by request."""
