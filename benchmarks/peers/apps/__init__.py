"""The plainest service that each peer's own documentation leads to; each file runs in its environment.

They import nothing of shadowserve. `PEER_MODEL` is the path of a joblib file.
"""
