"""What is claimed, measured: each benchmark plays the real thing and prints what it saw."""
