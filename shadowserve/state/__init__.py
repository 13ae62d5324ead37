"""The state directory: everything that the processes of a deployment share on disk."""
