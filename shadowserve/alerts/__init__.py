"""Alerts: what somebody should hear of though nobody looks, posted to an address, in a process of its own.

It reads what everybody may read and writes one small file. Whatever the receiver does, hang, fail, lead
elsewhere or answer without end, nothing else notices.
"""
