"""The control plane: status, report and steering over HTTP, in a process of its own."""
