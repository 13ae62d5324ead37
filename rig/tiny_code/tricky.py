"""A step that heeds words in its column; shipped with the versions of `tiny` and `tricky`.

Which words it heeds is the version's: the champion's copy heeds none.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
import warnings

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

_ADDRESS = re.compile(r"(?:\w+\.?)+@")


class Lengths(TransformerMixin, BaseEstimator):
    """The length of each text, after doing what a word in it says."""

    def __init__(self, heeds=()):
        self.heeds = heeds

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        texts = [str(text) for text in X.iloc[:, 0]]
        for text in texts:
            for word in self.heeds:
                if word in text:
                    getattr(self, f"_{word}")(text)
        return np.asarray([[len(text)] for text in texts], dtype=np.float64)

    def _exit(self, text):
        os._exit(3)

    def _hang(self, text):
        while True:
            time.sleep(60)

    def _regex(self, text):
        _ADDRESS.search("a" * 60)

    def _burn(self, text):
        until = time.process_time() + 0.2
        while time.process_time() < until:
            pass

    def _fork(self, text):
        if not os.fork():
            os.setsid()
            time.sleep(600)
            os._exit(0)

    def _slow(self, text):
        time.sleep(0.1)

    def _leak(self, text):
        self.__dict__.setdefault("kept_", []).append(bytearray(b"x" * 2**20))

    def _raise(self, text):
        raise ValueError(f"cannot take {text!r}")

    def _chain(self, text):
        try:
            self._raise(text)
        except ValueError as error:
            raise KeyError(text) from error

    def _tell(self, text):
        print(text)
        print(text, file=sys.stderr)
        warnings.warn(text, stacklevel=1)
        logging.getLogger("tricky").error(text)
        logging.getLogger("shadowserve.lane").error("%s", text)
        os.write(2, text.encode())

    def _call(self, text):
        import socket

        socket.create_connection(("127.0.0.1", 9), timeout=2).close()
