"""The evidence writer: the only door to MLflow tracking, and a process of its own.

Lanes leave closed windows in their files; this process carries them to MLflow: one run per lane and
deployment, metrics by window, Parquet parts, a few traces, the report. Nobody waits for it. While
MLflow is away everything stays where it is, and arrives once it is back, once.
"""
