"""What a team sets: flags, environment and file, told apart and checked before anything starts."""
