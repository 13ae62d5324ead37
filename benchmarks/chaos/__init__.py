"""Breaking a deployment on purpose, many times, and counting what its callers and its record lost."""
