"""The machine: its clocks, CPUs, priorities and signals, and the life and death of processes."""
