"""What is run by other environments' interpreters."""
