"""What the machine tells and is asked: clocks, CPUs, priorities, signals, processes and their ends."""
