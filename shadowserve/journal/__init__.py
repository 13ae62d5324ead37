"""The journal: requests and answers in SQLite segments, written by one process and read by all."""
