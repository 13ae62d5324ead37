"""The demo's models: real data in, registered versions out, production traffic to replay.

`models.register` trains and registers ``films``, ``likes`` and ``diamonds``; `models.traffic` plays
the events that came after the training data. Nothing here is imported by `shadowserve`.
"""
